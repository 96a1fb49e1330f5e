# Dump and restore of a database that uses every object of the extension, moving
# the extension to another schema, and dropping it.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($old, $new) = map {
	start_server($_, before_start => sub { make_model($_[0]->basedir . '/models/small.gguf') })
} qw(old new);

# A dump as text, without what is different each time
sub dump_text
{
	my ($node) = @_;
	my ($out, $err) = run_command([ 'pg_dump', '--create', '-d', $node->connstr('shop') ]);

	return join "\n", grep { !/^\\(un)?restrict / } split /\n/, $out;
}

sub query
{
	return $old->safe_psql('shop', $_[0]);
}

run_script($old, 'postgres', 'objects.sql');
my $answers = run_script($old, 'shop', 'answers.sql', 'writes');
my $dump = dump_text($old);
my $file = $old->basedir . '/dump';

is(query(q{
	SELECT pg_describe_object(m.classid, m.objid, 0)
	FROM pg_depend m JOIN pg_extension e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
	WHERE extname = 'bitnet' AND m.classid <> 'pg_type'::regclass AND NOT EXISTS (
		SELECT FROM pg_depend u WHERE u.refclassid = m.classid AND u.refobjid = m.objid AND u.deptype = 'n')}),
	'', 'every object of the extension is used');
cmp_ok(length $dump, '>', 3000, 'a dump');

# ---- to another server ----

command_ok([ 'pg_dumpall', '-d', $old->connstr('postgres'), '-f', "$file.sql" ], 'pg_dumpall');
my ($out, $err) = run_command([ 'psql', '-XqAt', '-d', $new->connstr('postgres'), '-f', "$file.sql" ]);
unlike($err, qr/ERROR:(?!  role "\w+" already exists)|WARNING/, 'psql has nothing to complain of');
is(run_script($new, 'shop', 'answers.sql', 'writes'), $answers, 'the same contents and answers');
is(dump_text($new), $dump, 'and the same definitions');
is( $new->safe_psql('shop', 'SELECT ai.bitnet_version() IS NOT NULL; SHOW bitnet.max_tokens; SHOW bitnet.enable_batch_scan; SHOW bitnet.model',
		extra_params => [ '-U', 'clerk' ]),
	"t\n7\noff\nsmall", 'and settings of roles');

$new->safe_psql('postgres', 'DROP DATABASE shop');
command_ok([ 'pg_dump', '-Fc', '-d', $old->connstr('shop'), '-f', "$file.custom" ], 'pg_dump in custom format');
command_ok([ 'pg_restore', '--exit-on-error', '--create', '-j2', '-d', $new->connstr('postgres'), "$file.custom" ],
	'pg_restore in two jobs');

# A role's settings in a database belong to the server, says pg_dump
$new->safe_psql('postgres', 'ALTER ROLE clerk IN DATABASE shop SET bitnet.enable_batch_scan = off');
is(run_script($new, 'shop', 'answers.sql', 'writes'), $answers, 'the same contents and answers');
is(dump_text($new), $dump, 'and the same definitions');
$new->stop;

# ---- another schema ----

query('CREATE SCHEMA models; ALTER EXTENSION bitnet SET SCHEMA models');
is(run_script($old, 'shop', 'answers.sql', 'writes'), $answers, 'the same answers after ALTER EXTENSION SET SCHEMA');
like(query(q{SELECT models.bitnet_version(); SET search_path = ''; EXPLAIN SELECT * FROM public.groups}),
	qr/BitNet Batch/, 'and rows are computed together as before');
is(query(q{SELECT status FROM models.bitnet_check() WHERE item = 'extension'}), 'ok', 'the doctor works there');

# ---- what is not allowed, and the end ----

my ($status, $text);
foreach my $statement (
	[ "CREATE INDEX ON ticket (models.bitnet_classify(body, '{a,b}'))", qr/functions in index expression must be marked IMMUTABLE/ ],
	[ "ALTER TABLE ticket ADD g text GENERATED ALWAYS AS (models.bitnet_generate(body)) STORED", qr/generation expression is not immutable/ ],
	[ 'DROP FUNCTION models.bitnet_version()', qr/cannot drop function models.bitnet_version\(\) because extension bitnet requires it/ ],
	[ 'DROP EXTENSION bitnet', qr/cannot drop extension bitnet because other objects depend on it\nDETAIL:.*trigger label on table ticket depends on function/s ],
	[ 'DROP SCHEMA models', qr/cannot drop schema models because other objects depend on it/ ])
{
	($status, $out, $text) = $old->psql('shop', $statement->[0]);
	like($text, $statement->[1], "refused: $statement->[0]");
}
my $rows = query('SELECT id, body, label, vector FROM ticket ORDER BY id');
query('DROP EXTENSION bitnet CASCADE');
is(query('SELECT id, body, label, vector FROM ticket ORDER BY id'), $rows, 'the data stay when the extension goes');
is(query(q{SELECT count(*) FROM pg_proc WHERE proname LIKE 'bitnet%'}), '0', 'but nothing else');
is(query(q{SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace}),
	'', 'and nothing that needs it');
is(query(q{CREATE EXTENSION bitnet; SELECT bitnet_generate('Say something.', 4)}),
	$old->safe_psql('postgres', q{SELECT bitnet_generate('Say something.', 4, model => 'small')}), 'it can come back');

$old->stop;
done_testing();
