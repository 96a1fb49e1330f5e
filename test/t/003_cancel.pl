# Cancel, timeouts and termination while a model is loaded or waited for.
#
# A load is held in the middle by stopping its process: what the process would
# do then is decided by what it finds when it goes on.
#
# Runs alone: it measures time.

use strict;
use warnings;

use BitnetTest;
use Test::More;
use Time::HiRes qw(time);

my $node = start_server('cancel');
my $models = $node->basedir . '/models';
my $observer = $node->background_psql('postgres');

sub put_model
{
	my ($vocab) = @_;

	# Large enough that its load takes a good part of a second
	replace_model("$models/big.gguf", qw(--layers 8 --hidden 1024 --ffn 4096 --heads 8 --kv 4 --vocab), $vocab);
	return;
}

put_model(60000);
my $use = "SELECT bitnet_count_tokens('x', 'big')";
my $is_loaded = "SELECT state FROM bitnet_models WHERE name = 'big'";

sub holds_lock
{
	my ($pid, $granted) = @_;

	return $observer->query_safe(
		"SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'advisory' AND granted = $granted") == 1;
}

sub loads
{
	return $observer->query_safe("SELECT loads FROM bitnet_models WHERE name = 'big'");
}

# Starts a load in a session and stops the process in the middle of it.  A load that
# has ended by then is undone, by unloading unless other code is given, and begun again.
sub stopped_load
{
	my ($session, $undo) = @_;
	my $pid = backend_pid($session);

	foreach (1 .. 5)
	{
		my $loads = loads();

		start_query($session, $use);
		wait_until(sub { holds_lock($pid, 'true') || loads() > $loads }) or die 'no load';
		kill 'STOP', $pid;
		return $pid if holds_lock($pid, 'true');
		kill 'CONT', $pid;
		end_of_query($session);
		$undo ? $undo->() : $session->query_safe("SELECT bitnet_unload('big')");
	}
	die 'a load could not be stopped';
}

# The same for a file that takes the place of another one.  What tells them apart
# is how large their vocabularies are.
sub stopped_reload
{
	my ($session, $old, $new) = @_;

	put_model($new);
	return stopped_load($session, sub { put_model($old); $session->query_safe($use); put_model($new) });
}

# What the session complains of at the end of that query.
sub errors_of
{
	my ($session) = @_;
	my $errors;

	end_of_query($session);
	$errors = $session->{stderr};
	$session->{stderr} = '';
	return $errors;
}

# A session that is not told of progress, which depends on the machine
sub new_session
{
	my $session = open_session($node, 'postgres');

	$session->query_safe('SET client_min_messages = warning');
	return $session;
}

# Cancelled while loading
my $loader = new_session();
my $pid;
in_time(sub {
	$pid = stopped_load($loader);
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	kill 'CONT', $pid;
	my $start = time;
	like(errors_of($loader), qr/ERROR:  canceling statement due to user request/,
		'a load can be cancelled');
	return time - $start;
}, 1 * $slowness, 'at once');
is_deeply([ segments($node) ], [], 'and leaves nothing in memory');
is($loader->query_safe($is_loaded), 'available', 'nor in the list');
is($observer->query_safe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0',
	'nor a lock');

# What waits for all processes does not wait for the end of a load
my $dropper = new_session();
my $dropper_pid = backend_pid($dropper);
my $at_barrier = "SELECT count(*) FROM pg_stat_activity WHERE pid = $dropper_pid AND wait_event = 'ProcSignalBarrier'";
foreach my $try (1 .. 3)
{
	$node->safe_psql('postgres', 'CREATE DATABASE dropped');
	$pid = stopped_load($loader);
	start_query($dropper, 'DROP DATABASE dropped');
	ok(wait_until(sub { $observer->query_safe($at_barrier) == 1 }), 'DROP DATABASE waits for a stopped process');
	kill 'CONT', $pid;
	wait_until(sub { $observer->query_safe($at_barrier) == 0 });
	my $loading = holds_lock($pid, 'true');
	end_of_query($dropper);
	end_of_query($loader);
	$loader->query_safe("SELECT bitnet_unload('big')");
	next if !$loading && $try < 3;	# a slow machine: the load had ended
	ok($loading, 'but not for the end of its load');
	last;
}
$dropper->quit;

# A timeout while loading
$loader->query("BEGIN; SET LOCAL statement_timeout = 30; $use; ROLLBACK");
like($loader->{stderr}, qr/canceling statement due to statement timeout/,
	'a statement timeout acts while loading');
$loader->{stderr} = '';
is_deeply([ segments($node) ], [], 'and leaves nothing in memory either');

# Waiting for another session's load
$pid = stopped_load($loader);
my $loads = loads();
my $waiter = new_session();
my $waiter_pid = backend_pid($waiter);

start_query($waiter, $use);
ok(wait_until(sub { holds_lock($waiter_pid, 'false') }), 'a second session waits for the load');
is($observer->query_safe("SELECT wait_event_type || ' ' || wait_event || ' ' || (pg_blocking_pids(pid) = ARRAY[$pid])::text FROM pg_stat_activity WHERE pid = $waiter_pid"),
	'Lock advisory true', 'which can be seen, and for whom');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($waiter_pid)");
like(errors_of($waiter), qr/canceling statement due to user request/, 'the wait can be cancelled');

$waiter->query("BEGIN; SET LOCAL lock_timeout = 100; $use; ROLLBACK");
like($waiter->{stderr}, qr/canceling statement due to lock timeout/, 'lock_timeout acts');
$waiter->{stderr} = '';
$waiter->query("BEGIN; SET LOCAL statement_timeout = 100; $use; ROLLBACK");
like($waiter->{stderr}, qr/canceling statement due to statement timeout/, 'statement_timeout acts');
$waiter->{stderr} = '';

# The loader is terminated: the waiter takes over
start_query($waiter, $use);
ok(wait_until(sub { holds_lock($waiter_pid, 'false') }), 'it waits once more');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
kill 'CONT', $pid;
unlike(errors_of($waiter), qr/ERROR|FATAL/, 'when the loader is terminated, the waiter loads the model');
is($waiter->query_safe($is_loaded), 'loaded', 'which is loaded then');
is(loads(), $loads + 1, 'once');
is(scalar(segments($node)), 1, 'one image is in memory');
eval { $loader->quit };

# While a changed file is loaded, others go on with the old image
$loader = new_session();
$pid = stopped_reload($loader, 60000, 50000);
is($waiter->query_safe("SELECT bitnet_count_tokens('x', 'big') > 0"), 't',
	'a reload does not hold up the others');
is($waiter->query_safe("SELECT vocab_size FROM bitnet_models WHERE name = 'big'"), '60000',
	'which use the image that is there');
kill 'CONT', $pid;
unlike(errors_of($loader), qr/ERROR|FATAL/, 'the reload ends well');
$waiter->query_safe($use);
is($waiter->query_safe("SELECT vocab_size FROM bitnet_models WHERE name = 'big'"), '50000',
	'and everybody uses the new image');
is(scalar(segments($node)), 1, 'of which there is one');

# Cancelled while a changed file is loaded
$pid = stopped_reload($loader, 50000, 40000);
$loads = loads();
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
kill 'CONT', $pid;
like(errors_of($loader), qr/canceling statement due to user request/,
	'a reload can be cancelled, too');
$loader->query_safe($use);
is($loader->query_safe("SELECT vocab_size, loads FROM bitnet_models WHERE name = 'big'"), "50000|$loads",
	'and the next statement goes on with the old image');
is($loader->query_safe("SELECT bitnet_load('big')"), 't', 'until somebody has the time to load the new one');
$loader->query_safe($use);
is($loader->query_safe("SELECT vocab_size, loads FROM bitnet_models WHERE name = 'big'"), '40000|' . ($loads + 1), 'which all use then');

$_->quit for $loader, $waiter, $observer;
$node->stop;
done_testing();
