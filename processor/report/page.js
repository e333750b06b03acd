const data = JSON.parse(document.getElementById("data").textContent);
const options = { actions: false, ast: true, defaultStyle: false, renderer: "svg", tooltip: { disableDefaultStyle: true } };
const drawn = [...document.querySelectorAll(".chart")].map((place) => {
  const { panel, chart } = place.dataset;
  const spec = chart
    ? data.charts[chart]
    : { ...data.panel, data: { name: "points" }, datasets: { points: data.points[panel], overall: data.overall } };
  return vegaEmbed(place, spec, options);
});
Promise.all(drawn).then(() => document.documentElement.setAttribute("data-drawn", ""));
