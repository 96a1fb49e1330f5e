# Mixed load from many sessions at once, with cancels, errors, terminated
# sessions and reconnects: results stay right, and neither memory nor the cache
# nor a counter grows.  BITNET_SOAK_SECONDS says for how long ("make soak": an
# hour).
#
# Runs alone: it measures time.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{BITNET_SOAK_SECONDS} // 24;
my $node = start_server('soak', conf => "bitnet.kv_cache_size = 8MB\nlog_min_messages = fatal\n");
my $dir = $node->basedir;

make_model("$dir/models/soak.gguf", qw(--ctx 512));
$node->safe_psql('postgres', "ALTER DATABASE postgres SET bitnet.model = 'soak'");

# What each prompt gives, computed by one session for itself
$node->safe_psql('postgres', q{
SET bitnet.shared_engine = off;
CREATE TABLE prompt AS
	SELECT i AS id, repeat('Some words that many texts begin with. ', i % 4) || 'prompt ' || i AS body, 5 + i % 30 AS n
	FROM generate_series(1, 60) i;
ALTER TABLE prompt ADD answer text, ADD label text, ADD vector real[];
UPDATE prompt SET answer = bitnet_generate(body, n), label = bitnet_classify(body, '{red,green,blue}'),
	vector = bitnet_embed(body);
CREATE TABLE failure (what text);
CREATE TABLE done (what text, n int);
});

# One transaction each; what is wrong goes into the table.
my %scripts = (
	answer => q{\set i random(1, 60)
INSERT INTO failure SELECT 'answer ' || id FROM prompt WHERE id = :i AND bitnet_generate(body, n) IS DISTINCT FROM answer;
},
	label => q{\set i random(1, 60)
INSERT INTO failure SELECT 'label ' || id FROM prompt WHERE id = :i AND bitnet_classify(body, '{red,green,blue}') IS DISTINCT FROM label;
},
	rows => q{\set i random(0, 4)
INSERT INTO failure SELECT 'row ' || id FROM
	(SELECT id, answer, vector, bitnet_generate(body, n) AS a, bitnet_embed(body) AS v FROM prompt WHERE id % 5 = :i OFFSET 0) r
	WHERE a IS DISTINCT FROM answer OR v IS DISTINCT FROM vector;
},
	error => q{DO $$ BEGIN PERFORM bitnet_generate(repeat('long ', 2000)); RAISE EXCEPTION 'no error';
	EXCEPTION WHEN program_limit_exceeded THEN NULL; END $$;
DO $$ BEGIN PERFORM bitnet_generate('x', max_tokens => 1000000); RAISE EXCEPTION 'no error';
	EXCEPTION WHEN invalid_parameter_value OR program_limit_exceeded THEN NULL; END $$;
});
# Timeouts at any moment, one after the other for ever
my $cancels = "SET client_min_messages = panic;\n";
foreach my $i (1 .. 20000)
{
	my ($ms, $id) = (1 + int(rand(80)), 1 + $i % 60);

	$cancels .= "SET statement_timeout = $ms;\nSELECT count(bitnet_generate(body, 300)) FROM prompt;\nRESET statement_timeout;\n"
	  . "INSERT INTO failure SELECT 'after cancel ' || id FROM prompt WHERE id = $id AND bitnet_generate(body, n) IS DISTINCT FROM answer;\n";
}

append_to_file("$dir/cancel.sql", $cancels);

foreach my $name (keys %scripts)
{
	append_to_file("$dir/$name.sql", $scripts{$name});
}

sub pgbench
{
	my ($time, @options) = @_;
	my @command = ('pgbench', '--no-vacuum', '--time', $time, '--host', $node->host, '--port', $node->port,
		@options, (map { ('--file', "$dir/$_.sql") } sort keys %scripts), 'postgres');
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(\@command, '<', \undef, '>', \$out, '2>', \$err);

	return { run => $run, out => \$out, err => \$err };
}

sub cancel_many
{
	my ($out, $err) = ('', '');

	return IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name='canceler'", '-f', "$dir/cancel.sql" ],
		'<', \undef, '>', \$out, '2>', \$err);
}

# Private memory of the engine, in kB
sub engine_memory
{
	my $pid = $node->safe_psql('postgres', 'SELECT pid FROM bitnet_engines');
	my ($rss) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;

	return $rss;
}

# Sessions that are terminated in the middle
sub terminate_some
{
	my ($until) = @_;
	my $n = 0;

	while (time < $until)
	{
		my ($out, $err) = ('', '');
		my $victim = IPC::Run::start(
			[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
				"SET application_name = 'victim'; SELECT count(bitnet_generate(body || i, 400)) FROM prompt, generate_series(1, 1000) i" ],
			'<', \undef, '>', \$out, '2>', \$err);

		wait_until(sub {
			$node->safe_psql('postgres', "SELECT count(*) FROM bitnet_activity a JOIN pg_stat_activity s USING (pid) WHERE s.application_name = 'victim'") ne '0';
		});
		$n += $node->safe_psql('postgres', "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'victim'");
		$victim->finish;
	}
	return $n;
}

sub run_load
{
	my ($time) = @_;
	my $start = time;
	my @cancelers = (cancel_many(), cancel_many());
	my @loads = (pgbench($time, '--client', 6, '--jobs', 1), pgbench($time, '--client', 2, '--connect'));
	my $terminated = terminate_some($start + $time);

	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canceler'");
	$_->finish foreach @cancelers;
	foreach my $load (@loads)
	{
		$load->{run}->finish;
		is($load->{run}->result(0), 0, 'no transaction failed') or diag(${ $load->{err} });
		my ($n) = ${ $load->{out} } =~ /number of transactions actually processed: (\d+)/;
		cmp_ok($n // 0, '>', 0, sprintf('%d transactions', $n // 0));
	}
	cmp_ok($terminated, '>', 0, "$terminated sessions were terminated");
}

# The first part fills what is allowed to fill: cache, catalogs, heaps
run_load($seconds / 3);
my $memory = engine_memory();
my $segments = () = glob $node->data_dir . '/pg_dynshmem/*';
my $engine = $node->safe_psql('postgres', 'SELECT pid FROM bitnet_engines');

run_load($seconds * 2 / 3);

is($node->safe_psql('postgres', 'SELECT what, count(*) FROM failure GROUP BY 1 LIMIT 5'), '', 'all results are right');
is($node->safe_psql('postgres', 'SELECT pid FROM bitnet_engines'), $engine, 'the engine is still the same');
ok(wait_until(sub {
	$node->safe_psql('postgres', 'SELECT sessions, sequences, cache_used FROM bitnet_engines') eq '0|0|0';
}), 'no session, sequence or page of the cache is left in use');
is($node->safe_psql('postgres', 'SELECT count(*) FROM bitnet_activity'), '0', 'nothing seems to run');
cmp_ok(engine_memory() - $memory, '<', 4096, "the engine's memory does not grow (from $memory kB)");
my $now = () = glob $node->data_dir . '/pg_dynshmem/*';
cmp_ok($now, '<=', $segments, "no segment is left over ($now)");
is($node->safe_psql('postgres', 'SELECT bool_and(cancels > 0 AND calls > cancels) FROM bitnet_stats WHERE model = \'soak\''),
	't', 'cancels were counted');

$node->stop;
done_testing();
