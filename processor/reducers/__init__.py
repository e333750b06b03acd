"""Pure reducers: lines become events, and events fold into partials."""
