"""Pure reducers: lines become events, events fold into partials."""
