# A streaming standby, its promotion, and logical replication: answers are the
# same everywhere, and what triggers make arrives as data.

use strict;
use warnings;

use BitnetTest;
use File::Copy;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = start_server('primary',
	conf => "wal_level = logical\nmax_wal_senders = 5\nmax_replication_slots = 5\n"
	  # It would make conflicts on the standby
	  . "autovacuum = off\n",
	before_start => sub {
		my ($node) = @_;

		make_model($node->basedir . '/models/small.gguf');
		make_model($node->basedir . '/models/slow.gguf',
			qw(--layers 8 --hidden 1024 --ffn 4096 --heads 16 --kv 4 --ctx 4096));
		$node->append_conf('pg_hba.conf', "local replication all trust\n");
	});
my $models = $primary->basedir . '/models';

# A directory for the models of another server, with nothing in it
sub own_models
{
	my ($node) = @_;
	my $own = $node->basedir . '/models';

	mkdir $own;
	$node->append_conf('postgresql.conf', "bitnet.model_directory = '$own'\n");
	return $own;
}

sub error_of
{
	my ($node, $query) = @_;
	my ($status, $out, $err) = $node->psql('shop', $query);

	return $err;
}

# ---- a standby ----

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');

$standby->init_from_backup($primary, 'base', has_streaming => 1);
my $standby_models = own_models($standby);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = 0\n");
$standby->start;

run_script($primary, 'postgres', 'objects.sql');
my $answers = run_script($primary, 'shop', 'answers.sql');
my $rows = 'SELECT * FROM ticket ORDER BY id';

$primary->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('shop', $rows), $primary->safe_psql('shop', $rows),
	'what triggers have made is on a standby that has no model');
like(error_of($standby, "SELECT ai.bitnet_generate('x')"), qr/ERROR:  model "small" does not exist/,
	'which cannot answer by itself');
copy("$models/$_", $standby_models) or die foreach qw(small.gguf slow.gguf);
is(run_script($standby, 'shop', 'answers.sql'), $answers, 'with the model, it gives the same answers');
is($standby->safe_psql('shop', 'SELECT count(*) FROM ai.bitnet_engines'), '1', 'from an engine of its own');
is($standby->safe_psql('shop', "SELECT count(*) FROM ai.bitnet_check() WHERE status = 'error'"), '0',
	'and the doctor works there');
like(error_of($standby, "INSERT INTO ticket (id, body) VALUES (30, 'x')"),
	qr/ERROR:  cannot execute INSERT in a read-only transaction/, 'it takes no rows');

# What the primary does to a table goes before an answer about it
my $session = open_session($standby, 'shop');
$session->query_until(qr/asked/, q{\echo asked
SELECT ai.bitnet_generate(body, 2000, model => 'slow') FROM ticket WHERE id = 1;
});
ok($standby->poll_query_until('shop', q{SELECT count(*) > 0 FROM ai.bitnet_activity WHERE model = 'slow' AND state = 'decode'}),
	'a standby that is computing');
$primary->safe_psql('shop', 'BEGIN; LOCK TABLE ticket; COMMIT');
ok($standby->poll_query_until('shop', q{SELECT count(*) = 0 FROM ai.bitnet_activity}), 'makes way for the primary');
$session->query('SELECT 1');
like($session->{stderr}, qr/ERROR:  canceling statement due to conflict with recovery/, 'with the usual error');
$session->{stderr} = '';
is($session->query(q{SELECT ai.bitnet_classify('text', '{a,b}')}),
	$primary->safe_psql('shop', q{SELECT ai.bitnet_classify('text', '{a,b}')}), 'and the session goes on');

# Nor does a load hold it up.  The process is stopped in its load until the signal is there.
SKIP:
{
	skip 'needs /proc/PID/status', 2 unless -e "/proc/$$/status";
	my $pid = backend_pid($session);
	my $state = q{SELECT state FROM ai.bitnet_models WHERE name = 'slow'};

	$session->query_safe(q{SELECT ai.bitnet_unload('slow')}) if $standby->safe_psql('shop', $state) eq 'loaded';
	foreach my $try (1 .. 3)
	{
		start_query($session, q{SELECT ai.bitnet_count_tokens(body, 'slow') FROM ticket WHERE id = 1});
		wait_until(sub { $standby->safe_psql('shop', "SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'advisory'")
			  || $standby->safe_psql('shop', $state) eq 'loaded' }) or die 'no load';
		kill 'STOP', $pid;
		$primary->safe_psql('shop', 'BEGIN; LOCK TABLE ticket; COMMIT');
		wait_until(sub { hex((slurp_file("/proc/$pid/status") =~ /^ShdPnd:\s*(\w+)/m)[0]) & 1 << POSIX::SIGUSR1() - 1 });
		kill 'CONT', $pid;
		end_of_query($session);
		last if $try == 3 || $standby->safe_psql('shop', $state) ne 'loaded';
		$session->{stderr} = '';
		$session->query_safe(q{SELECT ai.bitnet_unload('slow')});	# it was over too soon
	}
	like($session->{stderr}, qr/ERROR:  canceling statement due to conflict with recovery/, 'a load makes way, too');
	is($standby->safe_psql('shop', $state), 'available', 'before its end');
	$session->{stderr} = '';
}

# ---- promotion ----

my $loads = q{SELECT loads FROM ai.bitnet_models WHERE name = 'small'};
my $before = $standby->safe_psql('shop', $loads);
$standby->promote;
is(run_script($standby, 'shop', 'answers.sql', 'writes'), run_script($primary, 'shop', 'answers.sql', 'writes'),
	'after promotion it gives the same answers, and its triggers too');
is($session->query($loads), $before, 'with the model that it had before');
$session->quit;
$standby->stop;

# ---- logical replication ----

# The subscriber's trigger has other labels, so that one sees whose they are
my $table = q{
CREATE TABLE note (id int PRIMARY KEY, body text, label text);
CREATE TRIGGER label BEFORE INSERT OR UPDATE OF body ON note FOR EACH ROW
	EXECUTE FUNCTION bitnet_trigger('label', 'bitnet_classify', 'body', '{"labels": ["a", "b"], "model": "small"}')};
my $subscriber = start_server('subscriber');
my $subscriber_models = $subscriber->basedir . '/models';

sub notes
{
	return $subscriber->safe_psql('postgres', 'SELECT id, body, label FROM note ORDER BY id');
}

$primary->safe_psql('postgres', "$table; CREATE PUBLICATION notes FOR TABLE note; INSERT INTO note VALUES (1, 'the first')");
$subscriber->safe_psql('postgres', $table =~ s/"a", "b"/"x", "y"/r);
$subscriber->safe_psql('postgres', 'CREATE SUBSCRIPTION notes CONNECTION $$' . $primary->connstr('postgres') . '$$ PUBLICATION notes');
$subscriber->wait_for_subscription_sync($primary, 'notes');
$primary->safe_psql('postgres', "INSERT INTO note VALUES (2, 'the second'); UPDATE note SET body = 'changed' WHERE id = 1");
$primary->wait_for_catchup('notes');
is(notes(), $primary->safe_psql('postgres', 'SELECT id, body, label FROM note ORDER BY id'),
	'a subscriber gets what the trigger of the publisher made');
like(notes(), qr/^1\|changed\|[ab]\n2\|the second\|[ab]$/, 'and its own does not fire');

# Unless it is told to: then the worker that applies the changes computes
$subscriber->safe_psql('postgres', 'ALTER TABLE note ENABLE REPLICA TRIGGER label');
my $log = -s $subscriber->logfile;
$primary->safe_psql('postgres', "INSERT INTO note VALUES (3, 'the third')");
$subscriber->wait_for_log(qr/ERROR:  model "small" does not exist/, $log);
like(slurp_file($subscriber->logfile, $log),
	qr/ERROR:  model "small" does not exist\n.*DETAIL:  There is no file "small.gguf" in .*CONTEXT:  processing remote data/s,
	'without the model, the log says what is missing and where');
copy("$models/small.gguf", $subscriber_models) or die;
$primary->wait_for_catchup('notes');
$primary->safe_psql('postgres', "UPDATE note SET body = 'changed again' WHERE id = 1");
$primary->wait_for_catchup('notes');
is(notes(), $subscriber->safe_psql('postgres', q{
	SELECT i, body, CASE i WHEN 2 THEN (SELECT label FROM note WHERE id = 2) ELSE bitnet_classify(body, '{x,y}', model => 'small') END
	FROM (VALUES (1, 'changed again'), (2, 'the second'), (3, 'the third')) v(i, body)}),
	'with it, the worker goes on and computes');
is($subscriber->safe_psql('postgres', q{SELECT calls >= 2 FROM bitnet_stats WHERE model = 'small'}), 't',
	'by the engine of its server');

$subscriber->stop;
$primary->stop;
done_testing();
