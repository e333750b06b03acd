-- The two roles of a lake's database, each with the rights that it needs and no more. Run this file once before the
-- program's first run, as an administrator connected to the database. Then let each role log in, e.g. with \password:
--     psql "postgresql://admin@host/database" -f state/roles.sql -c '\password etl' -c '\password bi'
-- `etl` ingests: it makes schema state and the BI tables, and owns them. `bi` reads the tables and views of schema
-- public and nothing else. Running this file again changes nothing.

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
-- This applies to later tables and views of etl, too; only etl and its members may set it.
grant etl to current_user;
alter default privileges for role etl in schema public grant select on tables to bi;
