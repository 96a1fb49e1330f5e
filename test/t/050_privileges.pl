# Who may do what: each function, view and setting of the extension, and the
# ways around the limits that an administrator has set.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The roles: s superuser, m member of pg_monitor, f member of
# pg_read_server_files, p plain.  Rows say who may; the others are refused.
my @roles = qw(s m f p);
my %user = (m => 'monitor', f => 'files', p => 'plain');
my $all = 'smfp';

# Functions: a call, who may, and its SQLSTATE then, if it is not success.  Those
# of the aggregates cannot be called at all; how PostgreSQL says so differs among
# minor releases.
my $uncallable;
my @functions = (
	[ 'bitnet_generate(text,integer,double precision,bigint,text[],text,text,jsonb)', q{SELECT bitnet_generate('x', 1)}, $all ],
	[ 'bitnet_generate(text[],integer,double precision,bigint,text[],text,text,jsonb)', q{SELECT bitnet_generate(ARRAY['x'], 1)}, $all ],
	[ 'bitnet_chat(jsonb,integer,double precision,bigint,text[],text,text,jsonb)', q{SELECT bitnet_chat('[{"role": "user", "content": "x"}]', 1)}, $all ],
	[ 'bitnet_summarize(text,integer,text,text,jsonb)', q{SELECT bitnet_summarize('x', 1)}, $all ],
	[ 'bitnet_summarize_agg(text)', q{SELECT bitnet_summarize_agg(NULL)}, $all ],
	[ 'bitnet_summarize_agg_transfn(internal,text)', q{SELECT bitnet_summarize_agg_transfn(NULL, 'x')}, $all, \$uncallable ],
	[ 'bitnet_summarize_agg_finalfn(internal)', q{SELECT bitnet_summarize_agg_finalfn(NULL)}, $all, \$uncallable ],
	[ 'bitnet_summarize_collect(text)', q{SELECT bitnet_summarize_collect(NULL)}, $all ],
	[ 'bitnet_summarize_collect_finalfn(internal)', q{SELECT bitnet_summarize_collect_finalfn(NULL)}, $all, \$uncallable ],
	[ 'bitnet_classify(text,text[],text,text,jsonb)', q{SELECT bitnet_classify('x', '{a,b}')}, $all ],
	[ 'bitnet_classify_scores(text,text[],text,text,jsonb)', q{SELECT * FROM bitnet_classify_scores('x', '{a,b}')}, $all ],
	[ 'bitnet_embed(text,integer,text,jsonb)', q{SELECT bitnet_embed('x', 2)}, $all ],
	[ 'bitnet_embed(text[],integer,text,jsonb)', q{SELECT * FROM bitnet_embed(ARRAY['x'], 2)}, $all ],
	[ 'bitnet_similarity(text,text,text,jsonb)', q{SELECT bitnet_similarity('x', 'y')}, $all ],
	[ 'bitnet_next_tokens(text,integer,text,jsonb)', q{SELECT * FROM bitnet_next_tokens('x', 2)}, $all ],
	[ 'bitnet_logprob(text,text,text)', q{SELECT bitnet_logprob('x', 'y')}, $all ],
	[ 'bitnet_tokenize(text,text)', q{SELECT bitnet_tokenize('x')}, $all ],
	[ 'bitnet_detokenize(integer[],text)', q{SELECT bitnet_detokenize('{1}')}, $all ],
	[ 'bitnet_count_tokens(text,text)', q{SELECT bitnet_count_tokens('x')}, $all ],
	[ 'bitnet_truncate(text,integer,text)', q{SELECT bitnet_truncate('x', 1)}, $all ],
	[ 'bitnet_trigger()', q{SELECT bitnet_trigger()}, $all, '39P01' ],
	[ 'bitnet_check()', q{SELECT * FROM bitnet_check()}, $all ],
	[ 'bitnet_version()', q{SELECT bitnet_version()}, $all ],
	[ 'bitnet_models()', q{SELECT * FROM bitnet_models()}, $all ],
	[ 'bitnet_stats()', q{SELECT * FROM bitnet_stats()}, $all ],
	[ 'bitnet_activity()', q{SELECT * FROM bitnet_activity()}, $all ],
	[ 'bitnet_engines()', q{SELECT * FROM bitnet_engines()}, $all ],
	[ 'bitnet_stats_reset(text)', q{SELECT bitnet_stats_reset()}, 's' ],
	[ 'bitnet_load(text,boolean)', q{SELECT bitnet_load('small')}, 's' ],
	[ 'bitnet_unload(text)', q{SELECT bitnet_unload('absent')}, 's' ],
);

# Views: who may read; nobody else but the owner may do anything
my @views = map { [ $_, $all ] } qw(bitnet_models bitnet_stats bitnet_activity bitnet_engines);

# Settings: their context, another value, who may set it in a session, with
# what SQLSTATE all others fail, and who may see it
my @settings = (
	[ 'bitnet.enable_batch_scan', 'user', 'off', $all, '', $all ],
	[ 'bitnet.max_tokens', 'user', '1000', $all, '', $all ],
	[ 'bitnet.model', 'user', 'small', $all, '', $all ],
	[ 'bitnet.kernel', 'superuser', 'scalar', 's', '42501', $all ],
	[ 'bitnet.max_tokens_limit', 'superuser', '100000', 's', '42501', $all ],
	[ 'bitnet.shared_engine', 'superuser', 'off', 's', '42501', $all ],
	[ 'bitnet.threads', 'superuser', '2', 's', '42501', $all ],
	[ 'bitnet.kv_cache_size', 'sighup', '2GB', '', '55P02', $all ],
	[ 'bitnet.model_directory', 'sighup', '/tmp', '', '55P02', 'sm' ],
	[ 'bitnet.preload_models', 'postmaster', 'small', '', '55P02', $all ],
);

my $limit = 20;
my $node = start_server('privileges',
	conf => "bitnet.model = 'small'\nbitnet.max_tokens_limit = $limit\n",
	before_start => sub {
		my ($node) = @_;
		my $models = $node->basedir . '/models';

		make_model("$models/small.gguf");
		mkdir "$models/sub";
		symlink "$models/small.gguf", "$models/sub/inner.gguf";
		make_model($node->basedir . '/outside.gguf');
		symlink $node->basedir . '/outside.gguf', "$models/link.gguf";
	});
my $models = $node->basedir . '/models';

# Statements by a role, each of which may fail: output and messages
sub run_as
{
	my ($role, @statements) = @_;
	my ($status, $out, $err) = $node->psql('postgres', join(";\n", @statements) . ';',
		on_error_stop => 0,
		extra_params => $user{$role} ? [ '-U', $user{$role} ] : []);

	return ($out, $err, $status);
}

# SQLSTATEs of statements
sub states_as
{
	my ($role, $first, @statements) = @_;
	my ($out, $err) = run_as($role, $first, map { "SELECT public.state_of(\$q\$$_\$q\$)" } @statements);

	note($err) if $err;
	return split /\n/, $out;
}

# Compares SQLSTATEs with what is expected of each statement
sub check_states
{
	my ($name, $role, $first, $statements, $expected) = @_;
	my @states = states_as($role, $first, @$statements);
	my @expected = map { ref ? $$_ : $_ } @$expected;
	my @wrong = map { "$statements->[$_]: " . ($states[$_] // 'nothing') . ", not $expected[$_]" }
	  grep { ($states[$_] // '') ne $expected[$_] } 0 .. $#$statements;

	is(join("\n", @wrong), '', $name);
}

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

query(q{
	CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	CREATE ROLE files LOGIN IN ROLE pg_read_server_files;
	CREATE ROLE plain LOGIN;
	CREATE ROLE caller LOGIN;
	CREATE ROLE keeper LOGIN;
	CREATE FUNCTION state_of(query text) RETURNS text LANGUAGE plpgsql AS
	$$BEGIN EXECUTE query; RETURN '00000'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END$$;
	CREATE FUNCTION words_of(query text) RETURNS text LANGUAGE plpgsql AS
	$$DECLARE d text; h text;
	BEGIN EXECUTE query; RETURN 'no error'; EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM || ' ' || d || ' ' || h; END$$;
	ALTER ROLE plain SET bitnet.threads = 1});

# ---- before the library is loaded in a session, its settings are only names ----

my @limits = grep { $_->[4] ne '' && $_->[0] ne 'bitnet.preload_models' } @settings;
my @show = ('SELECT bitnet_version()',
	q{SELECT name, setting FROM pg_settings WHERE name LIKE 'bitnet.%' AND context <> 'user' ORDER BY name},
	q{SELECT string_agg(name, ' ' ORDER BY name) FROM bitnet_models},
	q{SELECT detail FROM bitnet_check() WHERE item IN ('threads', 'kv cache')});
my ($usual) = run_as('p', @show);

like($usual, qr/^bitnet.max_tokens_limit\|$limit\n.*^bitnet.threads\|1\ndefault link small\n1 of .*\nup to 64 MB/ms,
	'the limits of a plain user');
my ($result) = run_as('p', (map { "SET $_->[0] = '$_->[2]'" } @limits), @show);
is($result, $usual, 'values that are set before the library is loaded do not lift them');
($result) = run_as('p', 'BEGIN', (map { "SELECT set_config('$_->[0]', '$_->[2]', true) IS NULL" } @limits), @show, 'COMMIT');
$result =~ s/^(f\n)+//;
is($result, $usual, 'nor if they are set for a transaction');
for my $setting (@limits)
{
	# Then the values of the server would be lost, not only those refused
	local $ENV{PGOPTIONS} = "-c $setting->[0]=$setting->[2]";
	my $why = $setting->[4] eq '42501' ? qr/permission denied to set parameter "$setting->[0]"/ : qr/parameter "$setting->[0]" cannot be changed now/;

	# Those of the server are not for superusers either
	for my $role ($setting->[3] =~ /s/ ? 'p' : qw(p s))
	{
		my ($out, $err) = run_as($role, q{SELECT bitnet_count_tokens('x')}, q{SELECT bitnet_count_tokens('x')});

		is($out, '', "a connection that sets $setting->[0] cannot use the extension ($role)");
		is(() = $err =~ /ERROR:  $why/g, 2, 'and learns why');
	}
}
{
	local $ENV{PGOPTIONS} = '-c bitnet.threads=2 -c bitnet.max_tokens=7';
	my ($out) = run_as('s', 'SELECT bitnet_version()', 'SHOW bitnet.threads', 'SHOW bitnet.max_tokens');

	is($out, "0.1.0\n2\n7", 'if it is not allowed to');
}

# Who was granted a setting may change it as a superuser does, before and after the library is loaded
query('GRANT SET ON PARAMETER bitnet.kernel TO plain');
is((run_as('p', "SET bitnet.kernel = 'scalar'", "SELECT bitnet_version() <> ''", 'SHOW bitnet.kernel', "SET bitnet.kernel = 'auto'", 'SHOW bitnet.kernel'))[0],
	"t\nscalar\nauto", 'a setting that was granted');
{
	local $ENV{PGOPTIONS} = '-c bitnet.kernel=scalar';

	is((run_as('p', "SELECT bitnet_version() <> ''", 'SHOW bitnet.kernel'))[0], "t\nscalar", 'also with the connection');
	like((run_as('p', 'SELECT bitnet_version()', 'SET bitnet.threads = 2'))[1], qr/permission denied to set parameter "bitnet.threads"/,
		'and no other');
}
query('REVOKE SET ON PARAMETER bitnet.kernel FROM plain');
like((run_as('p', 'SELECT bitnet_version()', "SET bitnet.kernel = 'scalar'"))[1], qr/permission denied to set parameter "bitnet.kernel"/,
	'until it is revoked');
my @resets = ('RESET bitnet.threads', 'SET bitnet.threads TO DEFAULT', 'RESET ALL', 'ALTER ROLE plain RESET bitnet.threads', 'ALTER ROLE plain RESET ALL');
run_as('p', @resets);
run_as('p', 'SELECT bitnet_version()', @resets);
($result) = run_as('p', @show);
is($result, $usual, 'and those of a role cannot be taken away by it');
check_states('limits are not attached to roles or functions', 'p', 'SELECT FROM bitnet_version()',
	[ map { ("ALTER ROLE plain SET $_->[0] = '$_->[2]'",
			"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET $_->[0] = '$_->[2]' AS 'SELECT 1'") } @limits ],
	[ map { ($_->[4]) x 2 } @limits ]);
check_states('nor before the library is loaded', 'p', 'SELECT',
	[ map { "ALTER ROLE plain SET $_->[0] = '$_->[2]'" } @limits ], [ ('42501') x @limits ]);

# Whoever owns a database sets others of its settings
query('CREATE DATABASE own OWNER plain');
for my $first ('SELECT', 'SELECT FROM bitnet_version()')
{
	my $loaded = $first ne 'SELECT';

	check_states('nor to a database, by its owner' . ($loaded ? '' : ', before the library is loaded'), 'p', $first,
		[ (map { ("ALTER DATABASE own SET $_->[0] = '$_->[2]'", "ALTER ROLE plain IN DATABASE own SET $_->[0] = '$_->[2]'") } @limits),
			'ALTER DATABASE own SET bitnet.max_tokens = 7' ],
		[ (map { ($loaded ? $_->[4] : '42501') x 2 } @limits), $loaded ? '00000' : '42501' ]);
}

# ---- the tables, with all there is ----

$node->append_conf('postgresql.conf', "shared_preload_libraries = '$ENV{BITNET_MODULE}'\n");
$node->restart;

is(query(q{
	SELECT (i.type || ' ' || replace(i.identity, 'pg_catalog.', '')) COLLATE "C" AS object
	FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND
		d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'bitnet') AND
		i.type <> 'type' -- of a view's row, a member from PostgreSQL 16 on; there are no others
	ORDER BY object}),
	join("\n", sort((map { ($_->[0] =~ /^bitnet_summarize_(agg|collect)\(/ ? 'aggregate' : 'function') . " public.$_->[0]" } @functions),
			map { "view public.$_->[0]" } @views)),
	'each object of the extension is in a table here');
is(query(q{SELECT name || ' ' || context FROM pg_settings WHERE name LIKE 'bitnet.%' ORDER BY name COLLATE "C"}),
	join("\n", sort map { "$_->[0] $_->[1]" } @settings), 'and so is each setting');
is(query(q{
	SELECT proname FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'bitnet'
		JOIN pg_language l ON l.oid = prolang
	WHERE prosecdef OR proleakproof OR (prokind <> 'a' AND lanname <> 'c')}), '',
	'no function has rights of its owner, is leakproof, or is of SQL, where names would count');
is((run_as('s', 'BEGIN', 'DROP EXTENSION bitnet', 'GRANT CREATE ON DATABASE postgres TO plain', 'GRANT CREATE ON SCHEMA public TO plain',
		'SET LOCAL ROLE plain', q{SELECT state_of('CREATE EXTENSION bitnet')}, 'ROLLBACK'))[0], '42501',
	'only a superuser creates the extension, whatever rights others have on the database');

$uncallable = query(q{SELECT state_of('SELECT numeric_avg(NULL)')});
isnt($uncallable, '00000', "PostgreSQL's own functions of aggregates cannot be called");
for my $role (@roles)
{
	my $who = $user{$role} // 'superuser';
	my @rights = map { $_->[2] =~ $role ? 't' : 'f' } @functions;
	my @statements = map { $_->[1] } @functions;
	my @expected = map { $_->[2] =~ $role ? $_->[3] // '00000' : '42501' } @functions;

	check_states("$who: functions", $role, 'SELECT', \@statements, \@expected);
	my ($out) = run_as($role, map({ "SELECT has_function_privilege('$_->[0]', 'EXECUTE')" } @functions));
	is_deeply([ split /\n/, $out ], \@rights, "$who: rights on functions");

	check_states("$who: views", $role, 'SELECT',
		[ map { "TABLE $_->[0]" } @views ], [ map { $_->[1] =~ $role ? '00000' : '42501' } @views ]);
	($out) = run_as($role, map { "SELECT has_table_privilege('$_->[0]', 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')" } @views);
	is_deeply([ split /\n/, $out ], [ ($role eq 's' ? 't' : 'f') x @views ], "$who: other rights on views");
	check_states("$who: settings", $role, 'SELECT',
		[ map { ("SET LOCAL $_->[0] = '$_->[2]'", "SHOW $_->[0]") } @settings ],
		[ map { ($_->[3] =~ $role ? '00000' : $_->[4], $_->[5] =~ $role ? '00000' : '42501') } @settings ]);
	check_states("$who: the extension itself", $role, 'SELECT', [ 'DROP EXTENSION bitnet', 'ALTER EXTENSION bitnet UPDATE' ],
		[ ('42501') x 2 ]) if $role ne 's';
}

# What a call may ask for
my @more = (
	q{bitnet_generate('x', 21)}, q{bitnet_generate('{x,y}'::text[], 21)},
	q{bitnet_chat('[{"role": "user", "content": "x"}]', 21)}, q{bitnet_summarize('x', options => '{"max_tokens": 21}')});
check_states('no more tokens than the limit', 'p', 'SET bitnet.max_tokens = 1000', [ map { "SELECT $_" } @more ], [ ('22023') x @more ]);
for my $call (q{bitnet_generate('x', options => '{"raw": true}')}, q{bitnet_summarize('some words', 1000000)})
{
	my $generated = q{SELECT generated_tokens FROM bitnet_stats WHERE model = 'small'};
	my ($out) = run_as('p', 'SET bitnet.max_tokens = 1000', $generated, "SELECT $call IS NULL", $generated);
	my ($before, undef, $after) = split /\n/, $out;

	cmp_ok($after - $before, '<=', $limit, "nor where max_tokens is more: $call");
}
my @with_options = grep { s/\)$/, options => '{"OPTION": 1}')/ } map { $_->[1] } grep { $_->[0] =~ /jsonb\)$/ } @functions;
my @lifting = map { my $option = $_; map { s/OPTION/$option/r } @with_options }
  qw(threads kernel kv_cache_size shared_engine model_directory max_tokens_limit);
check_states('nor is there an option of a function that lifts another limit', 'p', 'SELECT', \@lifting, [ ('22023') x @lifting ]);
{
	local $ENV{PGOPTIONS} = '-c bitnet.threads=2';
	my (undef, $err, $status) = run_as('p', 'SELECT 1');

	ok($status == 2 && $err =~ /permission denied to set parameter "bitnet.threads"/, 'a connection that asks for more threads is refused');
}

# ---- names of models lead nowhere else ----

my $base = $node->basedir;
my @tricks = ("../outside", "$base/outside", "$models/small", "sub/inner", "./small", "sub/../small", "small/", "/small", "..", ".", "",
	"small ", "small\n", "small\t", "small\\", "..\\outside", "..%2foutside", "small:x", "~/small", "small*", "small\x01", "small;",
	"\xef\xbc\x8e\xef\xbc\x8e\xef\xbc\x8foutside", "sub\xe2\x88\x95inner", 'x' x 64, 'x' x 5000, '../' x 2000);
check_states('names that are none', 'p', 'SELECT', [ map { "SELECT bitnet_count_tokens('x', '$_')" } @tricks ], [ ('22023') x @tricks ]);
check_states('nor as the setting', 'p', 'SELECT', [ map { "SET bitnet.model = '$_'" } @tricks ], [ ('22023') x @tricks ]);
check_states('nor to load and unload', 's', 'SELECT', [ map { ("SELECT bitnet_load('$_')", "SELECT bitnet_unload('$_')") } @tricks ],
	[ ('22023') x (2 * @tricks) ]);
my @with_model = map { $_->[1] =~ s/\)$/, model => '..\/outside')/r }
  grep { $_->[0] =~ /,text(,jsonb)?\)$/ && $_->[0] !~ /internal/ } @functions;
cmp_ok(scalar(@with_model), '>', 12, 'functions that take the name of a model');
check_states('take no such name', 'p', 'SELECT', \@with_model, [ ('22023') x @with_model ]);
check_states('there is no zero byte in a name', 'p', 'SELECT',
	[ q{SELECT bitnet_count_tokens('x', E'small\\000')}, q{SELECT bitnet_count_tokens('x', convert_from('\x736d616c6c00', 'UTF8'))} ], [ ('22021') x 2 ]);
check_states('good names without a file, and a link, which the administrator has made', 'p', 'SELECT',
	[ map { "SELECT bitnet_count_tokens('x', '$_')" } 'x' x 63, 'a..b', 'small.', '-rf', 'SMALL', 'outside', 'inner', 'link' ], [ ('42704') x 7, '00000' ]);
my ($there) = run_as('p', q{SELECT words_of($$SELECT bitnet_count_tokens('x', '../outside')$$)});
my ($absent) = run_as('p', q{SELECT words_of($$SELECT bitnet_count_tokens('x', '../nowhere')$$)});
is($there =~ s/outside/nowhere/r, $absent, 'an error does not tell whether there is such a file');

# ---- what is in a file that is no model ----

# Texts that errors quote: of no GGUF file, the architecture, a key, a tensor
my $good = slurp_file("$models/small.gguf");
my %secrets = (
	text => "sekret\n" x 9,
	architecture => $good =~ s/bitnet-b1\.58/sekret-b1.58/r,
	key => pack('a4 L< Q< Q< Q<', 'GGUF', 3, 0, 1, 6) . 'sekret' . pack('L< Q<', 99, 0) x 9,
	tensor => pack('a4 L< Q< Q< Q<', 'GGUF', 3, 1, 0, 6) . 'sekret' . pack('L< Q<', 99, 0) x 9);
for my $name (sort keys %secrets)
{
	open my $fh, '>:raw', "$models/$name.gguf" or die;
	print $fh $secrets{$name};
	close $fh;
}
for my $role (@roles)
{
	my ($out, $err) = run_as($role, 'SET client_min_messages = debug5',
		map { ("SELECT words_of(\$\$SELECT bitnet_count_tokens('x', '$_')\$\$)", "SELECT bitnet_count_tokens('x', '$_')") } sort keys %secrets);

	is(() = $out =~ /^[0-9A-Z]{5} could not load model file/mg, 4, 'files that are no models');
	if ($role =~ /[sf]/)
	{
		is(() = $out =~ /sekret/g, 3, "are quoted to members of pg_read_server_files ($role)");
	}
	else
	{
		unlike($out . $err, qr/sekret|\Q$models\E/, "but not to others, nor where they are ($role)");
	}
}
like(slurp_file($node->logfile), qr/LOG:  .*architecture.gguf": .*sekret.*STATEMENT:/s, 'the log has it all');

# ---- rights that are taken away count in every way of calling ----

query(q{
	CREATE SCHEMA own AUTHORIZATION plain;
	CREATE TABLE note (id int, body text, category text, vector real[]);
	ALTER TABLE note OWNER TO keeper;
	GRANT SELECT, INSERT (id, body) ON note TO plain;
	INSERT INTO note SELECT i, 'note ' || i FROM generate_series(1, 4) i;
	CREATE TYPE hidden AS (v real[]);
	CREATE FUNCTION hide(real[]) RETURNS hidden LANGUAGE sql AS 'SELECT ROW($1)::hidden';
	CREATE CAST (real[] AS hidden) WITH FUNCTION hide(real[]) AS ASSIGNMENT;
	REVOKE EXECUTE ON FUNCTION hide, bitnet_classify, bitnet_summarize_agg FROM PUBLIC});
query(q{
	SET SESSION AUTHORIZATION plain;
	CREATE TABLE own.t (body text, hidden hidden);
	CREATE TRIGGER t BEFORE INSERT ON own.t FOR EACH ROW EXECUTE FUNCTION bitnet_trigger('hidden', 'bitnet_embed', 'body')});
query(q{
	CREATE TRIGGER t BEFORE INSERT ON note FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('category', 'bitnet_classify', 'body', '{"labels": ["a", "b"], "model": "small"}');
	CREATE TRIGGER t21 BEFORE INSERT ON note FOR EACH ROW WHEN (NEW.id = 21)
	EXECUTE FUNCTION bitnet_trigger('category', 'bitnet_generate', 'body', '{"max_tokens": 21}');
	CREATE TRIGGER tname BEFORE INSERT ON note FOR EACH ROW WHEN (NEW.id = 22)
	EXECUTE FUNCTION bitnet_trigger('category', 'bitnet_generate', 'body', '{"model": "../outside"}')});

check_states('of calls', 'p', 'SELECT',
	[ q{SELECT bitnet_classify('x', '{a,b}')}, q{SELECT bitnet_classify(body, '{a,b}') FROM note},
		q{SET LOCAL bitnet.enable_batch_scan = off; SELECT bitnet_classify(body, '{a,b}') FROM note},
		q{SELECT bitnet_summarize_agg(body) FROM note}, q{SELECT bitnet_summarize_agg(body) FROM note GROUP BY id} ], [ ('42501') x 5 ]);
my (undef, $err) = run_as('s', q{PREPARE p AS SELECT bitnet_classify(body, '{a,b}') FROM note},
	q{PREPARE q AS SELECT bitnet_summarize_agg(body) FROM note GROUP BY id}, 'SET plan_cache_mode = force_generic_plan',
	'EXECUTE p', 'EXECUTE q', 'SET ROLE plain', 'EXECUTE p', 'EXECUTE q');
like($err, qr/^[^\n]*ERROR:  permission denied for function bitnet_classify\n[^\n]*ERROR:  permission denied for aggregate bitnet_summarize_agg\n?$/,
	'of a plan that another role has made');

# A table's trigger is its owner's affair, as with all triggers
my $label = query(q{SELECT bitnet_classify('new', '{a,b}', model => 'small')});
my @insert = (q{INSERT INTO note (id, body) VALUES (10, 'new')});
check_states('a trigger computes for who may insert', 'p', 'SELECT',
	[ @insert, q{INSERT INTO note (id, body, category) VALUES (11, 'new', 'b')}, q{INSERT INTO note (id, body) VALUES (21, 'new')},
		q{INSERT INTO note (id, body) VALUES (22, 'new')},
		q{CREATE TRIGGER u BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION bitnet_trigger('category', 'bitnet_classify', 'body')} ],
	[ '00000', '42501', '22023', '22023', '42501' ]);
is(query('SELECT id, category FROM note WHERE id > 4'), "10|$label", 'what its owner wants');
check_states('a cast to the type of a column is as another one', 'p', 'SELECT',
	[ q{INSERT INTO own.t VALUES ('x')}, q{SELECT '{1}'::real[]::hidden} ], [ ('42501') x 2 ]);
query('GRANT EXECUTE ON FUNCTION hide TO plain; REVOKE EXECUTE ON FUNCTION bitnet_trigger FROM PUBLIC');
check_states('the trigger function can be taken away as well', 'p', 'SELECT',
	[ q{CREATE TRIGGER u BEFORE INSERT ON own.t FOR EACH ROW EXECUTE FUNCTION bitnet_trigger('body', 'bitnet_generate', 'body')},
		q{INSERT INTO own.t VALUES ('x')}, @insert ], [ '42501', '00000', '00000' ]);

# ---- a schema full of traps, first in the search path ----

query(q{
	CREATE SCHEMA traps AUTHORIZATION plain;
	SET SESSION AUTHORIZATION plain;
	DO $do$
	DECLARE
		f record;
		trap text := 'LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION ''trapped'' USING ERRCODE = ''ZZ001''; END$$';
	BEGIN
		FOR f IN SELECT p.oid, proname FROM pg_proc p WHERE proname ~ '^bitnet_' AND
			prokind = 'f' AND NOT 'internal'::regtype = ANY (proargtypes)
		LOOP
			EXECUTE format('CREATE FUNCTION traps.%I(%s) RETURNS %s %s', f.proname,
				pg_get_function_arguments(f.oid), pg_get_function_result(f.oid), trap);
		END LOOP;
		FOREACH f.proname IN ARRAY '{oid,text,name,int4,int8,float8,real[],text[],jsonb,timestamptz}'::text[]
		LOOP
			EXECUTE format('CREATE FUNCTION traps.eq(%s, %1$s) RETURNS bool %s', f.proname, trap);
			EXECUTE format('CREATE OPERATOR traps.= (LEFTARG = %s, RIGHTARG = %1$s, FUNCTION = traps.eq)', f.proname);
		END LOOP;
		FOREACH f.proname IN ARRAY '{text,name,int4,int8,jsonb,oid,timestamptz}'::text[]
		LOOP
			EXECUTE format('CREATE TYPE traps.%I AS ENUM ()', f.proname);
		END LOOP;
		FOREACH f.proname IN ARRAY '{pg_database,pg_roles,pg_proc,pg_extension,pg_trigger}'::text[]
		LOOP
			EXECUTE format('CREATE TABLE traps.%I ()', f.proname);
		END LOOP;
	END $do$});
my $traps = 'SET search_path = traps, pg_catalog, public';
check_states('the traps work', 's', $traps, [ 'SELECT * FROM bitnet_stats()', 'SELECT 1::pg_catalog.oid = 1::pg_catalog.oid', q{SELECT bitnet_generate('x'::pg_catalog.text)} ],
	[ ('ZZ001') x 3 ]);
my @calls = grep { $_->[0] !~ /^bitnet_(un)?load|reset/ } @functions;
check_states('but no function goes into them', 's', $traps, [ map { $_->[1] =~ s/(?<=[ ])(?=bitnet_)/public./r } @calls ],
	[ map { $_->[3] // '00000' } @calls ]);
check_states('nor a trigger', 's', $traps, [ map { s/INTO note/INTO public.note/r } @insert ], [ '00000' ]);
check_states('nor a plan that computes rows together', 's', $traps,
	[ q{SELECT public.bitnet_generate(body, 1), public.bitnet_summarize(body, 1) FROM public.note},
		q{SELECT public.bitnet_summarize_agg(body) FROM public.note GROUP BY id} ], [ '00000', '00000' ]);
is(query('SELECT DISTINCT category FROM note WHERE id = 10'), $label, 'with the same result');

# Temporary objects come first even where the path does not name them, and a
# function with its owner's rights has those of its caller before it
query(q{
	GRANT TEMPORARY ON DATABASE postgres TO plain;
	CREATE FUNCTION as_owner() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public AS
	$$SELECT bitnet_generate('x', 1) || bitnet_summarize('x', 1) || bitnet_classify('x', '{a,b}') || bitnet_embed('x', 2)::pg_catalog.text
		|| (SELECT pg_catalog.count(*) FROM bitnet_models) || (SELECT pg_catalog.count(*) FROM bitnet_activity)$$});
my @temporary = (map({ "CREATE TEMP TABLE $_ ()" } qw(pg_database pg_roles pg_proc pg_authid)),
	map { "CREATE TYPE pg_temp.$_ AS ENUM ()" } qw(text name int4 int8 float4 float8 jsonb oid timestamptz));
my $of_owner = query('SELECT public.as_owner()');
is((run_as('p', @temporary, 'SELECT public.as_owner()'))[0], $of_owner, 'nor does a function with the rights of its owner');
check_states('nor any other, into temporary ones', 's', join(';', @temporary), [ map { $_->[1] =~ s/(?<=[ ])(?=bitnet_)/public./r } @calls ],
	[ map { $_->[3] // '00000' } @calls ]);

# The extension in a schema where somebody else has put the traps before
query('CREATE DATABASE bait');
my $traps_of = $node->safe_psql('postgres', q{SELECT string_agg(format('CREATE TABLE bait.%I ()', t), ';') FROM unnest('{pg_database,pg_roles,pg_proc}'::text[]) t});
$node->safe_psql('bait', qq{
	CREATE SCHEMA bait AUTHORIZATION plain;
	SET SESSION AUTHORIZATION plain;
	$traps_of;
	CREATE FUNCTION bait.eq(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT true';
	CREATE OPERATOR bait.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = bait.eq);
	CREATE TYPE bait.text AS ENUM ();
	CREATE TYPE bait.int4 AS ENUM ();
	CREATE TYPE bait.oid AS ENUM ();
	CREATE FUNCTION bait.bitnet_activity(VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE FUNCTION bait.bitnet_models(text, int DEFAULT 0) RETURNS int LANGUAGE sql AS 'SELECT 1'});
$node->safe_psql('bait', 'CREATE EXTENSION bitnet SCHEMA bait');
is($node->safe_psql('bait', q{
	SELECT count(*), count(*) FILTER (WHERE v.refobjid IN (SELECT oid FROM pg_class WHERE relowner = 'plain'::regrole UNION ALL
			SELECT oid FROM pg_proc WHERE proowner = 'plain'::regrole UNION ALL SELECT oid FROM pg_operator WHERE oprowner = 'plain'::regrole UNION ALL
			SELECT oid FROM pg_type WHERE typowner = 'plain'::regrole))
	FROM pg_extension e JOIN pg_depend d ON d.refobjid = e.oid AND d.deptype = 'e' LEFT JOIN pg_rewrite w ON w.ev_class = d.objid
		JOIN pg_depend v ON v.objid IN (d.objid, w.oid) WHERE extname = 'bitnet'}) =~ s/^\d\d+/many/r, 'many|0',
	'the extension uses nothing that others have put into its schema before');
is($node->safe_psql('bait', q{SELECT bait.bitnet_generate('x', 1) IS NOT NULL, count(*) FROM bait.bitnet_activity}), 't|0', 'and works there');
$node->safe_psql('bait', 'DROP EXTENSION bitnet');
foreach my $case (
	[ 'bitnet_embed(text, int, text, jsonb)', qr/function "bitnet_embed" already exists/ ],
	[ 'bitnet_activity(int DEFAULT 0)', qr/function bitnet_activity\(\) is not unique/ ])
{
	my ($function, $error) = @$case;

	like(($node->psql('bait', "BEGIN; SET LOCAL SESSION AUTHORIZATION plain; CREATE FUNCTION bait.$function RETURNS int LANGUAGE sql AS 'SELECT 1';"
			  . 'RESET SESSION AUTHORIZATION; CREATE EXTENSION bitnet SCHEMA bait'))[2], $error, "nor does it come where there is a function $function");
}

# ---- what one learns of others' calls ----

# The engine stands still, so that the call stays as it is
my $engine = query("SELECT pid FROM bitnet_engines WHERE model = 'small'");
my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'caller' ]);
my $pid = backend_pid($session);

kill 'STOP', $engine;
$session->query_until(qr/started/, "\\echo started\nSELECT bitnet_generate('sekret', 5);\n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM bitnet_activity WHERE pid = $pid"), 'a call is running');
my $everything = join ";\n", map { "TABLE public.$_->[0]" } @views;
my $seen = query($everything);
for my $role (@roles)
{
	my ($out) = run_as($role, $everything);
	my ($count) = run_as($role, 'SELECT num_nonnulls(VARIADIC ARRAY[a.model, a.function, a.state, a.started::text, a.rows_total::text, a.rows_done::text, '
		  . 'a.prompt_tokens::text, a.cached_tokens::text, a.generated_tokens::text, a.tokens_per_second::text]), usename FROM bitnet_activity a');

	unlike($out, qr/sekret/, "no view shows texts ($role)");
	is($count, ($role =~ /[sm]/ ? 10 : 0) . '|caller', "details of another's call ($role)");
	($out) = run_as($role, 'SELECT count(file) > 0 FROM bitnet_models');
	is($out, $role =~ /[sf]/ ? 't' : 'f', "paths of files ($role)");
}
($result) = run_as('s', $traps, $everything);
is($result, $seen, 'views show the same whatever is first in the search path');
kill 'CONT', $engine;
query("SELECT pg_cancel_backend($pid)");
eval { $session->quit };

$node->stop;
done_testing();
