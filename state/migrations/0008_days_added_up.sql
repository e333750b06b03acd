-- Sums that the report and the BI team ask for time and again, kept with the tables that they are of: reading them costs
-- as much as there are days, not as much as there are articles and users on them.
create table state.category_days (
    date date not null,
    displays bigint not null,
    clicks bigint not null,
    category text
);
insert into state.category_days (date, displays, clicks, category)
select date, displays, clicks, category from public.category_performance;
create index category_days_hash on state.category_days (date, hashtextextended(coalesce(category, ''), 0));
comment on table state.category_days is 'article_performance added up by category and day.';
comment on column state.category_days.date is 'UTC day of the clicks and displays.';
comment on column state.category_days.displays is 'Displays of the category''s articles on that day.';
comment on column state.category_days.clicks is 'Clicks on the category''s articles on that day.';
comment on column state.category_days.category is 'The articles'' latest category; null for articles without one.';

create table state.session_days (
    date date primary key,
    sessions bigint not null,
    session_seconds numeric(38, 6) not null
);
insert into state.session_days (date, sessions, session_seconds)
select date, sum(sessions), sum(session_seconds) from public.user_performance where sessions > 0 group by date;
comment on table state.session_days is 'The sessions of user_performance added up by day.';
comment on column state.session_days.date is 'UTC day on which the sessions began.';
comment on column state.session_days.sessions is 'Sessions that began on that day.';
comment on column state.session_days.session_seconds is 'Their lengths added up, in seconds, exact to the microsecond.';

-- The report asks for the newest days of all articles.
create index article_performance_dates on public.article_performance (date);

create or replace view public.category_performance as
select
    category,
    date,
    displays,
    clicks,
    clicks::double precision / nullif(displays, 0)::double precision as click_through_rate
from state.category_days;
