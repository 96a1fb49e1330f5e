# A new version of the extension: its SQL objects by ALTER EXTENSION UPDATE, and
# its library in the place of one that sessions still have.
#
# The next versions are made of this one: a library says another version, or
# has another layout of what it shares, when other letters stand in its file.

use strict;
use warnings;

use BitnetTest;
use File::Copy;
use PostgreSQL::Test::Utils;
use Test::More;

my ($library, $scripts);
my $node = start_server('version',
	conf => "bitnet.model = 'small'\n",
	before_start => sub {
		my ($node) = @_;

		($library, $scripts) = own_install($node);
		make_model($node->basedir . '/models/small.gguf');
	});
my $control = slurp_file("$scripts/bitnet.control");
my ($version) = $control =~ /^default_version = '(.*)'/m;
my @next = map { $version =~ s/.$/$_/r } qw(x y z);
my $answer = q{SELECT bitnet_generate('Say something.', 8)};
my $expected = $node->safe_psql('postgres', $answer);

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

sub write_file
{
	my ($path, $text) = @_;

	open my $fh, '>', $path or die "could not write \"$path\": $!";
	print $fh $text;
	close $fh;
}

# A version whose scripts update the one before it
sub add_version
{
	my ($from, $to, $script) = @_;

	write_file("$scripts/bitnet--$from--$to.sql", $script);
	write_file("$scripts/bitnet.control", $control =~ s/\Q$version\E/$to/r);
}

# Replaces texts in the library's file as a package manager does: by renaming
sub replace_library
{
	my (%texts) = @_;
	my $bytes = slurp_file($library);

	while (my ($old, $new) = each %texts)
	{
		die "other length" unless length $old == length $new;
		$bytes =~ s/\Q$old\E/$new/g or die "no \"$old\" in the library";
	}
	write_file("$library.new", $bytes);
	chmod 0755, "$library.new";
	rename("$library.new", $library) or die "could not rename: $!";
}

# A session that has the library and has computed
sub computing_session
{
	my $session = open_session($node, 'postgres');

	is(ask($session, $answer), $expected, $_[0]);
	return $session;
}

sub ask
{
	my ($session, $query) = @_;

	return scalar $session->query($query);
}

sub engines
{
	return query(q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type = 'bitnet engine'});
}

sub end_engine
{
	my ($pid) = @_;

	query("SELECT pg_terminate_backend($pid, 60000)");
}

# ---- the SQL objects ----

query(q{
CREATE TABLE ticket (body text, label text);
CREATE TRIGGER label BEFORE INSERT ON ticket FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('label', 'bitnet_classify', 'body', '{"labels": ["a", "b"]}');
CREATE VIEW answers AS SELECT body, label, bitnet_generate(body, 5) FROM ticket;
INSERT INTO ticket VALUES ('the first');});
my $answers = query('SELECT * FROM answers');

add_version($version, $next[0], <<'SQL');
CREATE FUNCTION bitnet_added() RETURNS text
AS 'MODULE_PATHNAME', 'bitnet_version' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE OR REPLACE FUNCTION bitnet_count_tokens(input text, model text DEFAULT NULL) RETURNS int
AS 'MODULE_PATHNAME', 'bitnet_count_tokens' LANGUAGE C STABLE PARALLEL SAFE COST 200;
SQL
is(query(q{SELECT path FROM pg_extension_update_paths('bitnet') WHERE path IS NOT NULL}), "$version--$next[0]",
	'a new version is there');
is(query('ALTER EXTENSION bitnet UPDATE; SELECT bitnet_added()'), $version, 'the update adds a function');
is(query(q{SELECT extversion FROM pg_extension WHERE extname = 'bitnet'}), $next[0], 'and is written down');
is(query('SELECT * FROM answers'), $answers, 'a view of before gives the same');
is(query(q{DELETE FROM ticket; INSERT INTO ticket VALUES ('the first'); SELECT * FROM answers}), $answers,
	'a trigger too');
is(query(q{SELECT status, detail FROM bitnet_check() WHERE item = 'extension'}),
	"warning|library $version, SQL objects $next[0]", 'the doctor sees that the library is an older one');

my ($status, $out, $err) = $node->psql('postgres', "ALTER EXTENSION bitnet UPDATE TO '$version'");
like($err, qr/has no update path from version "\Q$next[0]\E" to version "\Q$version\E"/, 'there is no way back');

add_version($next[0], $next[1], <<'SQL');
DROP FUNCTION bitnet_added();
CREATE FUNCTION bitnet_absent() RETURNS text AS 'MODULE_PATHNAME', 'bitnet_absent' LANGUAGE C;
SQL
($status, $out, $err) = $node->psql('postgres', 'ALTER EXTENSION bitnet UPDATE');
like($err, qr/could not find function "bitnet_absent" in file "/, 'objects that need a newer library are refused');
is(query(q{SELECT extversion FROM pg_extension WHERE extname = 'bitnet'; SELECT bitnet_added()}),
	"$next[0]\n$version", 'and all is as before');
is(query(qq{DROP EXTENSION bitnet CASCADE; CREATE EXTENSION bitnet VERSION '$next[0]'; SELECT bitnet_added()}),
	$version, 'the same version from the scripts, from the beginning');

# ---- another library with the same layout: they share everything ----

my $first = computing_session('a session with the library as it was');

replace_library("$version\0" => "$next[0]\0");
my $second = computing_session('a session with a new library gives the same answer');
is(ask($first, 'SELECT bitnet_version()'), $version, 'the old session keeps its library');
is(ask($second, 'SELECT bitnet_version()'), $next[0], 'the new one has the new');
is(query(q{SELECT status, detail FROM bitnet_check() WHERE item = 'extension'}), "ok|version $next[0]",
	'and the doctor is content');
is(query('SELECT sum(loads) FROM bitnet_models'), '1', 'one model in memory');
my $engine = engines();
like($engine, qr/^\d+$/, 'one engine');
end_engine($engine);
is(ask($first, $answer), $expected, 'an old session starts an engine');
isnt(engines(), $engine, 'which is of the new library');
$engine = engines();
is(ask($first, 'SELECT pid FROM bitnet_engines'), $engine, 'and serves the old session');
is(ask($second, 'SELECT pid FROM bitnet_engines'), $engine, 'and the new one');

# ---- one with another layout: each for itself ----

query(q{CREATE TABLE docs AS SELECT 'document ' || i AS body FROM generate_series(1, 50) i;
	ALTER TABLE docs SET (parallel_workers = 2); ANALYZE docs});
my $parallel = 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;'
  . ' SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off;';
my $rows = q{SELECT md5(string_agg(r, ';' ORDER BY body)) FROM (SELECT body, bitnet_generate(body, 3) AS r FROM docs OFFSET 0) s};

ask($second, $parallel);
my $digest = ask($second, $rows);

replace_library('bitnet layout' => 'bitnet Layout', "$next[0]\0" => "$next[1]\0");
my $third = computing_session('a session with another layout gives the same answer');
is(ask($third, 'SELECT bitnet_version()'), $next[1], 'and has the new library');
is(ask($third, "SELECT loads FROM bitnet_models WHERE name = 'small'"), '1', 'with a model of its own');
is(ask($third, 'SELECT count(*) FROM bitnet_engines'), '1', 'and an engine of its own');
isnt(ask($third, 'SELECT pid FROM bitnet_engines'), $engine, 'beside the one of the old sessions');
is(ask($first, $answer), $expected, 'which goes on');

# Their next engine is the third, as is that of the new sessions then: it must
# not be taken for that one.
foreach (1, 2)
{
	end_engine(ask($third, 'SELECT pid FROM bitnet_engines'));
	is(ask($third, $answer), $expected, 'the new sessions start another engine');
}
my $third_engine = ask($third, 'SELECT pid FROM bitnet_engines');
end_engine($engine);
my $log = -s $node->logfile;
is(ask($second, $answer), $expected, 'without their engine, the old sessions compute by themselves');
is(ask($first, $answer), $expected, 'all of them');
ok($node->log_contains('no engine for a session of another version of the library', $log), 'and the log says so');
is(ask($third, 'SELECT pid FROM bitnet_engines'), $third_engine, 'the new engine is not concerned');
is(ask($third, $answer), $expected, 'and works');

ask($second, $rows);
like($second->{stderr}, qr/the query was planned by another version of the library "bitnet"/,
	'a parallel worker does not read the plan of another version');
$second->{stderr} = '';
is(ask($second, "SET bitnet.enable_batch_scan = off; $rows"), $digest, 'but computes plain calls');
is(ask($second, "SET max_parallel_workers_per_gather = 0; SET bitnet.enable_batch_scan = on; $rows"), $digest,
	'and the session reads its own plans');

is(ask($first, q{SELECT bitnet_unload('small') > 0}), 't', 'the old sessions unload their model');
is(ask($third, q{SELECT state FROM bitnet_models WHERE name = 'small'}), 'loaded', 'the new ones keep theirs');
is(ask($third, $answer), $expected, 'and use it');
$_->quit foreach $first, $second, $third;

# ---- preloaded: the server has one library until it is started again ----

$node->append_conf('postgresql.conf', "shared_preload_libraries = '" . $library =~ s/\.so$//r . "'\n");
$node->restart;
$first = computing_session('a session of a server with the library preloaded');
replace_library('bitnet Layout' => 'bitnet layout', "$next[1]\0" => "$next[2]\0");
end_engine(engines());
$second = computing_session('a session after the library was replaced');
is(ask($_, 'SELECT bitnet_version()'), $next[1], 'has the one that the server was started with') foreach $first, $second;
is(ask($first, 'SELECT pid FROM bitnet_engines'), engines(), 'and so has the engine');
is(ask($second, $rows), $digest, 'and parallel workers');
$_->quit foreach $first, $second;
$node->restart;
is(query('SELECT bitnet_version()'), $next[2], 'a restart brings the new one');

$node->stop;
done_testing();
