-- The two roles of a lake's database, with what each needs and no more. Run it once, as an administrator, connected to
-- the database before the program's first run; then give each role a way to log in, for example by \password:
--     psql "postgresql://admin@host/database" -f state/roles.sql -c '\password etl' -c '\password bi'
-- `etl` counts: it makes schema state and the BI tables, and owns them. `bi` reads the tables and views of schema
-- public and nothing else. Running it again changes nothing.

do $$
declare
    role name;
begin
    foreach role in array array['etl', 'bi'] loop
        if to_regrole(role) is null then
            execute format('create role %I login', role);
        end if;
    end loop;
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect, create, temporary on database %I to etl', current_database());
    execute format('grant connect on database %I to bi', current_database());
end
$$;

revoke create on schema public from public;
grant usage, create on schema public to etl;
grant usage on schema public to bi;
grant select on all tables in schema public to bi;
-- What etl makes later, too; only etl and its members may say so.
grant etl to current_user;
alter default privileges for role etl in schema public grant select on tables to bi;
