package sql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// spapi lists the functions of spapi.sql: what consumers are granted.
var spapi = []string{
	"public.authserver_check_domain(varchar)",
	"public.authserver_resolve_alias(varchar, boolean)",
	"public.authserver_get_credentials(varchar)",
	"public.authserver_get_credentials(varchar, varchar)",
	"public.authserver_iterate_users()",
	"public.authserver_get_senders(varchar)",
	"public.authserver_verify(varchar, varchar, varchar, varchar, varchar)",
	"public.authserver_touch(varchar, varchar, varchar)",
	"public.authserver_api_version()",
}

// ForeignSPAPIError says that schema public holds authserver_*() functions that
// are not ours: those of the ancestor.
type ForeignSPAPIError struct {
	Functions []string // with parameters and owner: "authserver_check_domain(character varying) of authserver"
}

func (e *ForeignSPAPIError) Error() string {
	return "the database holds functions of another authserver: " + strings.Join(e.Functions, ", ")
}

// spapiNames are the names of all functions, ours and the ancestor's, that the
// contract has ever had in schema public. The last two are internals of the
// ancestor, which run as its owner for whoever may execute them.
var spapiNames = []string{
	"authserver_check_domain",
	"authserver_resolve_alias",
	"authserver_get_credentials",
	"authserver_iterate_users",
	"authserver_get_senders",
	"authserver_verify",
	"authserver_touch",
	"authserver_api_version",
	"authserver_get_alias",
	"authserver_check_user_permission",
}

// ErrNotInstalled says that our functions are not in schema public.
var ErrNotInstalled = errors.New("the stored-procedure API is not installed: run authserver spapi install")

// InstallSPAPI puts the functions of spapi.sql into schema public, or replaces
// ours in place: grants and prepared statements of consumers stay. It needs a
// migrated database, and refuses one that holds the ancestor's functions with a
// *ForeignSPAPIError.
func InstallSPAPI(ctx context.Context, conn *pgx.Conn) error {
	return asOwner(ctx, conn, func(tx pgx.Tx, split bool) error {
		foreign, err := foreignSPAPI(ctx, tx)
		if err != nil {
			return err
		}
		if len(foreign) > 0 {
			return &ForeignSPAPIError{foreign}
		}
		return installSPAPI(ctx, tx, split)
	})
}

// TakeOverSPAPI replaces the ancestor's functions by ours, in one transaction.
// The login must own them or be a superuser. Consumers are the logins that were
// granted EXECUTE one by one, which keep it, and those of grant; it refuses if
// there are none, because then nobody could log in, and if PUBLIC could still
// create temporary objects. It returns the logins that hold EXECUTE afterwards.
//
// Who could ask for hashes is a mail server, and gets all of our functions. Who
// could not is none, and keeps what it had.
func TakeOverSPAPI(ctx context.Context, conn *pgx.Conn, grant []string, dryRun bool) (consumers []string, err error) {
	var login string // or the role that it acts as
	if err := conn.QueryRow(ctx, `select current_user`).Scan(&login); err != nil {
		return nil, err
	}
	err = asOwner(ctx, conn, func(tx pgx.Tx, split bool) error {
		foreign, err := foreignSPAPI(ctx, tx)
		if err != nil {
			return err
		}
		if len(foreign) == 0 {
			return errors.New("there is nothing to take over: the database holds no functions of another authserver")
		}

		// PUBLIC is grantee 0 and the owner's own right is implied.
		rows, _ := tx.Query(ctx, `
			select r.rolname::text as login,
			       bool_or(p.proname = 'authserver_get_credentials') as mail_server,
			       array_agg('public.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')') as functions
			  from pg_proc p
			  cross join aclexplode(p.proacl) a
			  join pg_roles r on r.oid = a.grantee
			 where p.pronamespace = 'public'::regnamespace and p.proname = any ($1)
			   and a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner
			 group by r.rolname`, spapiNames)
		held, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct {
			Login      string
			MailServer bool
			Functions  []string
		}])
		if err != nil {
			return err
		}
		consumers = slices.Clone(grant)
		for _, h := range held {
			if h.MailServer {
				consumers = append(consumers, h.Login)
			}
		}
		slices.Sort(consumers)
		consumers = slices.Compact(consumers)
		if len(consumers) == 0 {
			return errors.New("no login may read hashes by the old functions, other than as PUBLIC: name the logins of your mail servers (--grant)")
		}

		// The old functions belong to the login, not to authserver_owner.
		if _, err := tx.Exec(ctx, `set local role `+pgx.Identifier{login}.Sanitize()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			do $$
			declare
			  old regprocedure;
			begin
			  for old in select p.oid from pg_proc p
			              where p.pronamespace = 'public'::regnamespace
			                and p.proname in (`+literals(spapiNames)+`) loop
			    execute 'drop function ' || old;
			  end loop;
			end
			$$`); err != nil {
			return fmt.Errorf("dropping the old functions: %w", err)
		}
		if split {
			if _, err := tx.Exec(ctx, `set local role authserver_owner`); err != nil {
				return err
			}
		}

		if err := installSPAPI(ctx, tx, split); err != nil {
			return err
		}
		if err := grantSPAPI(ctx, tx, spapi, consumers); err != nil {
			return err
		}
		for _, h := range held {
			if slices.Contains(consumers, h.Login) {
				continue
			}
			var kept []string // without the ancestor's internals
			if err := tx.QueryRow(ctx, `select array(select f from unnest($1::text[]) f where to_regprocedure(f) is not null)`,
				h.Functions).Scan(&kept); err != nil {
				return err
			}
			if len(kept) == 0 {
				continue
			}
			if err := grantSPAPI(ctx, tx, kept, []string{h.Login}); err != nil {
				return err
			}
			consumers = append(consumers, h.Login)
		}

		var execute, temporary bool
		if err := tx.QueryRow(ctx, `
			select coalesce(bool_or(has_function_privilege('public', p.oid, 'execute')), false),
			       has_database_privilege('public', current_database(), 'temporary')
			  from pg_proc p
			 where p.pronamespace = 'public'::regnamespace and p.proname = any ($1)`, spapiNames).
			Scan(&execute, &temporary); err != nil {
			return err
		}
		if execute {
			return errors.New("PUBLIC would keep EXECUTE")
		}
		if temporary {
			return errors.New("PUBLIC may create temporary objects in this database: run authserver db init --apply first, or revoke temporary on the database from public")
		}
		if dryRun {
			return errRehearsal
		}
		return nil
	})
	if errors.Is(err, errRehearsal) {
		err = nil
	}
	return consumers, err
}

// errRehearsal rolls back what was done to see whether it can be done.
var errRehearsal = errors.New("rehearsal")

// foreignSPAPI describes the functions of schema public that carry our names
// but were not installed by us.
func foreignSPAPI(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var migrated bool
	if err := tx.QueryRow(ctx, `select to_regclass('auth.installed') is not null`).Scan(&migrated); err != nil {
		return nil, err
	}
	if !migrated {
		return nil, errors.New("the database is not set up: run authserver migrate")
	}
	rows, _ := tx.Query(ctx, `
		select p.oid::regprocedure || ' of ' || r.rolname
		  from pg_proc p join pg_roles r on r.oid = p.proowner
		 where p.pronamespace = 'public'::regnamespace and p.proname = any ($1)
		   and not (select i.spapi from auth.installed i)
		 order by 1`, spapiNames)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func installSPAPI(ctx context.Context, tx pgx.Tx, split bool) error {
	if err := replaceSPAPI(ctx, tx, files, split); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		with made as (update auth.installed i set spapi = true where not i.spapi returning i.spapi)
		select auth.record('spapi.install', current_database(), '{"installed": false}', '{"installed": true}') from made`)
	return err
}

// replaceSPAPI runs spapi.sql as authserver_spapi, which owns what it creates.
func replaceSPAPI(ctx context.Context, tx pgx.Tx, files fs.FS, split bool) error {
	if !split {
		return execFile(ctx, tx, files, "spapi.sql")
	}
	if _, err := tx.Exec(ctx, `set local role authserver_spapi`); err != nil {
		return err
	}
	if err := execFile(ctx, tx, files, "spapi.sql"); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `set local role authserver_owner`)
	return err
}

// GrantSPAPI lets logins execute the functions of spapi.sql: directly, because
// a login that does not inherit gets nothing from a group role.
func GrantSPAPI(ctx context.Context, conn *pgx.Conn, logins []string) error {
	return asOwner(ctx, conn, func(tx pgx.Tx, _ bool) error { return grantSPAPI(ctx, tx, spapi, logins) })
}

func grantSPAPI(ctx context.Context, tx pgx.Tx, functions, logins []string) error {
	return changeSPAPI(ctx, tx, "spapi.grant", "grant execute on function %s to %s", functions, logins)
}

// RevokeSPAPI takes back what GrantSPAPI gave.
func RevokeSPAPI(ctx context.Context, conn *pgx.Conn, logins []string) error {
	return asOwner(ctx, conn, func(tx pgx.Tx, _ bool) error {
		return changeSPAPI(ctx, tx, "spapi.revoke", "revoke execute on function %s from %s", spapi, logins)
	})
}

// changeSPAPI runs a statement for each login, and writes the audit rows of
// those for which it changed something.
func changeSPAPI(ctx context.Context, tx pgx.Tx, action, statement string, functions, logins []string) error {
	installed, err := SPAPIInstalled(ctx, tx)
	if err != nil {
		return err
	}
	if !installed {
		return ErrNotInstalled
	}
	for _, login := range logins {
		before, err := grantsOf(ctx, tx, login)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(statement, strings.Join(functions, ", "), pgx.Identifier{login}.Sanitize())); err != nil {
			return err
		}
		after, err := grantsOf(ctx, tx, login)
		if err != nil {
			return err
		}
		if slices.Equal(before, after) {
			continue
		}
		if _, err := tx.Exec(ctx, `
			select auth.record($1, $2, jsonb_build_object('functions', $3::text[]), jsonb_build_object('functions', $4::text[]))`,
			action, login, before, after); err != nil {
			return err
		}
	}
	return nil
}

// grantsOf returns the functions of spapi.sql that a login may execute by name.
func grantsOf(ctx context.Context, tx pgx.Tx, login string) ([]string, error) {
	rows, _ := tx.Query(ctx, `
		select p.oid::regprocedure::text
		  from unnest($1::text[]) f
		  join pg_proc p on p.oid = to_regprocedure(f)
		 cross join aclexplode(p.proacl) a
		  join pg_roles r on r.oid = a.grantee
		 where r.rolname = $2 and a.grantee <> p.proowner and a.privilege_type = 'EXECUTE'
		 order by 1`, spapi, login)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Querier is what reading takes: a connection, a transaction or a pool.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// SPAPIInstalled tells whether schema public holds all functions of spapi.sql,
// as ours: with their search_path pinned and nothing for PUBLIC. Any login may
// ask.
func SPAPIInstalled(ctx context.Context, db Querier) (bool, error) {
	var installed bool
	err := db.QueryRow(ctx, `
		select count(*) = cardinality($1::text[])
		  from unnest($1::text[]) f
		  join pg_proc p on p.oid = to_regprocedure(f)
		 where p.prosecdef
		   and 'search_path=pg_catalog, pg_temp' = any (p.proconfig)
		   and not has_function_privilege('public', p.oid, 'execute')`, spapi).Scan(&installed)
	return installed, err
}

// SPAPIGranted tells whether a login may execute all functions of spapi.sql. It
// is an error if the login does not exist.
func SPAPIGranted(ctx context.Context, db Querier, login string) (bool, error) {
	var exists, granted bool
	err := db.QueryRow(ctx, `
		select exists (select from pg_roles r where r.rolname = $2),
		       coalesce(bool_and(coalesce(has_function_privilege(r.oid, to_regprocedure(f), 'execute'), false)), false)
		  from unnest($1::text[]) f
		  join pg_roles r on r.rolname = $2`, spapi, login).Scan(&exists, &granted)
	if err == nil && !exists {
		return false, fmt.Errorf("there is no login %q", login)
	}
	return granted, err
}

// literals writes names, which are ours, as a list of SQL strings.
func literals(names []string) string {
	return "'" + strings.Join(names, "', '") + "'"
}
