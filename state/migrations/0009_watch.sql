-- A run may watch the lake, and tells on the way what it did.
comment on column state.runs.command is 'What it was: count, rebuild, watch, forget or verify; unknown before this was recorded.';
comment on column state.runs.seconds is 'How long it counted or, where it watches or did not come to its end, ran until it was last at work, in seconds.';
