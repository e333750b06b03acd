# The sample lake, so that a run without any bucket counts something: 1 MB.
FROM python:3.13.18-slim-trixie AS sample
WORKDIR /maker
COPY tests tests/
RUN python -m tests.support.made_lake --gzip /sample_lake

FROM python:3.13.18-slim-trixie
WORKDIR /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

COPY requirements.txt ./
# The folder belongs to the user below, so that a new volume mounted on it does too.
RUN pip install --no-cache-dir --require-hashes --root-user-action=ignore -r requirements.txt \
    && install -d -o 10001 -g 10001 report
COPY run.py lake.toml ./
COPY processor processor/
COPY state state/
COPY --from=sample /sample_lake sample_lake/

USER 10001:10001
ENTRYPOINT ["python", "run.py"]
