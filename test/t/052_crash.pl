# Crashes and shutdowns at every moment of a call, and model files that change
# meanwhile.  Afterwards the server is what it was: preloaded models are back,
# answers are the same, and no process, thread or segment is left of before.
#
# A moment is recognised by what the server shows of it, and lasts long enough;
# a load is held in it by stopping its process.
#
# Runs alone: it measures time.

use strict;
use warnings;

use BitnetTest;
use File::Copy;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $max_connections = 20;
my $megabyte = 1024 * 1024;

# "slow" and "other" are preloaded, "late" is loaded by those who use it.
my @shape = qw(--hidden 1024 --ffn 4096 --heads 16 --kv 4 --ctx 4096);
my @other = qw(--vocab 8000);
my $node = start_server('crash',
	conf => "shared_preload_libraries = '$ENV{BITNET_MODULE}'\n"
	  . "bitnet.preload_models = 'slow, other'\n"
	  . "bitnet.model = 'slow'\n"
	  . "bitnet.threads = 2\n"
	  . "bitnet.kv_cache_size = 24MB\n"
	  . "max_connections = $max_connections\n"
	  . "restart_after_crash = on\n"
	  . "autovacuum = off\n",
	before_start => sub {
		my $models = $_[0]->basedir . '/models';

		make_model("$models/slow.gguf", @shape, qw(--layers 4 --vocab 8000));
		make_model("$models/late.gguf", @shape, qw(--layers 2 --vocab 20000 --seed 2));
		make_model("$models/other.gguf", @other);
		make_model("$models/newer.gguf", @other, qw(--seed 3));
	});
my $models = $node->basedir . '/models';
my $raw = q(options => '{"raw": true}');
my $observer;

sub observe
{
	return $observer->query_safe($_[0]);
}

# The time limit is for each query, not for all that a session does.  How far a
# load is, which a slow machine is told of, does not matter here.
sub new_session
{
	my $session = open_session($node, 'postgres', '-v', 'VERBOSITY=verbose');

	$session->query_safe('SET client_min_messages = warning');
	return $session;
}

# Starts a statement in a session, which is a new one if none is given.  Returns
# the session and its process.
sub start_statement
{
	my ($statement, $session) = @_;

	$session //= new_session();
	my $pid = backend_pid($session);
	start_query($session, $statement);
	return ($session, $pid);
}

# What a session that goes on says at the end of its statement
sub end_of_statement
{
	my ($session) = @_;
	my $output = end_of_query($session) . $session->{stderr};

	$session->{stderr} = '';
	return $output;
}

# What a session says whose server has gone
sub end_of_session
{
	my ($session) = @_;

	eval { $session->{run}->finish };
	return $session->{stderr};
}

# ---- what the system shows of a process ----

sub threads
{
	my ($pid) = @_;

	return scalar(() = glob "/proc/$pid/task/*");
}

# The processes of the server
sub children
{
	my $postmaster = $node->{_pid};

	return split ' ', slurp_file("/proc/$postmaster/task/$postmaster/children");
}

sub open_models
{
	my ($pid) = @_;

	return scalar(grep { (readlink($_) // '') =~ /\.gguf/ } glob "/proc/$pid/fd/*");
}

# Segments that nobody can find any more but the process still has
sub lost_segments
{
	my ($pid) = @_;

	return scalar(() = slurp_file("/proc/$pid/maps") =~ /pg_dynshmem.*\(deleted\)/g);
}

sub bytes_read
{
	my ($pid) = @_;

	return slurp_file("/proc/$pid/io") =~ /^rchar: (\d+)/m ? $1 : die;
}

sub is_running
{
	my ($pid) = @_;

	return slurp_file("/proc/$pid/stat") =~ /\) R /;
}

# A signal that was sent to a stopped process waits for it.
sub is_pending
{
	my ($pid, $signal) = @_;
	my ($mask) = slurp_file("/proc/$pid/status") =~ /^ShdPnd:\s*(\w+)/m;

	return hex($mask) & (1 << ($signal - 1));
}

sub files_in_memory
{
	return glob $node->data_dir . '/pg_dynshmem/mmap.*';
}

# Waits like wait_until, for what may soon be over.
sub catch
{
	my ($code) = @_;
	my $limit = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($code->())
	{
		return 0 if time > $limit;
		usleep(500);
	}
	return 1;
}

# ---- calls that last ----

my $late = "$models/late.gguf";
my $load = "SELECT bitnet_count_tokens('x', 'late')";
my $prefill = "SELECT bitnet_embed(bitnet_truncate(repeat('some long text ', 3000), 3900))";
my $decode = "SELECT bitnet_generate('x', 3900, temperature => 1, $raw)";

sub is_in_state
{
	my ($pid, $state) = @_;

	return wait_until(sub { observe("SELECT state FROM bitnet_activity WHERE pid = $pid") eq $state });
}

sub session_in
{
	my ($state, $statement) = @_;
	my ($session, $pid) = start_statement($statement);

	is_in_state($pid, $state) or die "no $state";
	return [ $session, $pid ];
}

# Starts a statement that loads "late", and stops its process while it has helping
# threads and most of the file is still to be read.  One that is further by then
# loads the model once more.
sub held_load
{
	my ($statement, $session) = @_;

	$session //= new_session();
	my $pid = backend_pid($session);
	foreach (1 .. 5)
	{
		my $read = bytes_read($pid);

		start_query($session, $statement);
		catch(sub { $session->{run}->pump_nb; threads($pid) > 1 || $session->{stdout} =~ /finished/ })
		  or die 'no load';
		kill 'STOP', $pid;
		return ($session, $pid) if threads($pid) > 1 && bytes_read($pid) - $read < (-s $late) / 2;
		kill 'CONT', $pid;
		end_of_statement($session);
		$session->query_safe("SELECT bitnet_unload('late')");
	}
	die 'a load could not be stopped';
}

# A session in each phase of a call.  The first one returned is in it.
my $alone = 'SET bitnet.shared_engine = off;';
my %phases = (
	'load' => sub { [ held_load($load) ] },
	'prefill' => sub { session_in('prefill', $prefill) },
	'decode' => sub { session_in('decode', $decode) },
	'prefill without an engine' => sub { session_in('prefill', "$alone $prefill") },
	'decode without an engine' => sub { session_in('decode', "$alone $decode") },

	# The cache has no room for two answers of that length.
	'waiting' => sub {
		my $first = session_in('decode', $decode);
		my ($session, $pid) = start_statement($decode);
		wait_until(sub { observe("SELECT a.state || ' ' || wait_event_type FROM bitnet_activity a JOIN pg_stat_activity USING (pid) WHERE pid = $pid") eq 'queued Extension' })
		  or die 'does not wait';
		return ([ $session, $pid ], $first);
	});

# ---- before and after ----

my %answers = (
	slow => "SELECT md5(bitnet_generate('as before', 20, temperature => 1, $raw) || bitnet_embed('x')::text)",
	other => "SELECT md5(bitnet_generate('as before', 20, temperature => 1, model => 'other', $raw))");
my $loaded = q{SELECT coalesce(string_agg(name || ' ' || loads, ', ' ORDER BY name), '') FROM bitnet_models WHERE state = 'loaded'};
my $both = 'other 1, slow 1';

sub answer
{
	my ($statement) = @_;
	my ($status, $output, $errors) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$statement");

	return $errors =~ /(?:ERROR|FATAL):  (\w+)/ ? $1 : $output;
}

$observer = new_session();
wait_until(sub { observe($loaded) eq $both }) or die 'not preloaded';
my %right = map { $_ => answer("SET bitnet.shared_engine = off; $answers{$_}") } keys %answers;
my $newer = answer("SET bitnet.shared_engine = off; " . $answers{other} =~ s/'other'/'newer'/r);
answer("SELECT bitnet_unload('newer')");
wait_until(sub { segments($node) == 2 });
my @images = segments($node);
is(scalar(@images), 2, 'two models are in memory');
isnt($newer, $right{other}, 'and another one answers otherwise');
rename "$models/newer.gguf", "$models/newer" or die;

# All that is there before something happens
sub before
{
	return {
		processes => [ split /\n/, observe('SELECT pid FROM pg_stat_activity') ],
		files => { map { $_ => 1 } files_in_memory() },
		log => -s $node->logfile
	};
}

# Is the server what it was?  Unless told otherwise "other" is loaded, too.
sub is_recovered
{
	my ($case, $before, %now) = @_;
	my $models = $now{loaded} // $both;
	my @processes = grep { -e "/proc/$_" } @{ $before->{processes} };
	my @files = grep { $before->{files}{$_} } files_in_memory();

	$observer = new_session();
	wait_until(sub { observe($loaded) eq $models });
	is_deeply({
			loaded => observe($loaded),
			slow => answer($answers{slow}),
			other => answer($answers{other}),
			images => [ segments($node) ],
			engines => observe("SELECT bool_and(sessions = 0 AND sequences = 0 AND cache_used = 0) FROM bitnet_engines WHERE model = 'slow'"),
			activity => observe('SELECT count(*) FROM bitnet_activity'),
			locks => observe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
			'old processes' => \@processes,
			'old segments' => \@files
		},
		{
			loaded => $models,
			slow => $right{slow},
			other => $now{other} // $right{other},
			images => [ $now{loaded} ? $images[-1] : @images ],
			engines => 't',
			activity => '0',
			locks => '0',
			'old processes' => [],
			'old segments' => []
		},
		"$case: all is as before");
	return;
}

# Kills a process; when the server is back, looks at it and at what sessions
# were told.
sub kill_process
{
	my ($case, $pid, $killed, $sessions, %now) = @_;
	my $before = before();

	kill 'KILL', $pid;
	$node->wait_for_log(qr/database system is ready to accept connections/, $before->{log});
	end_of_session($observer);
	like(end_of_session($_), $_ == $killed ? qr/server closed the connection unexpectedly/ : qr/WARNING:  57P02: /,
		"$case: a session is told") foreach @$sessions;
	is_recovered($case, $before, %now);
	return;
}

sub stop_and_start
{
	my ($phase, $mode, %now) = @_;
	my @sessions = $phases{$phase}->();
	my $case = "$mode shutdown during $phase";
	my $before = before();
	my $continue;

	# A load that is held has its signal before it goes on.
	if ($phase eq 'load')
	{
		my $pid = $sessions[0][1];
		my $signal = $mode eq 'fast' ? POSIX::SIGTERM : POSIX::SIGQUIT;

		$continue = fork // die $!;
		if ($continue == 0)
		{
			wait_until(sub { is_pending($pid, $signal) });
			kill 'CONT', $pid;
			POSIX::_exit(0);
		}
	}
	$node->stop($mode);
	waitpid $continue, 0 if $continue;
	end_of_session($observer);
	like(end_of_session($_->[0]), $mode eq 'fast' ? qr/FATAL:  57P01: / : qr/WARNING:  57P01: /,
		"$case: a session is told") foreach @sessions;
	is_deeply([ [ files_in_memory() ], [ grep { -e "/proc/$_" } @{ $before->{processes} } ] ],
		[ [], [] ], "$case: no segment and no process is left");
	$now{file}->() if $now{file};
	$node->start;
	is_recovered($case, $before, %now);
	return;
}

# ---- all connections that the server has ----

# One is left for the observer, and one until all clients have come, since a session
# before them may not be gone at once.
my $clients = $max_connections - 2;

$node->safe_psql('postgres', qq{
SET bitnet.shared_engine = off;
CREATE TABLE failure (id int);
CREATE TABLE prompt AS SELECT i AS id, NULL::text AS answer FROM generate_series(1, $clients) i;
UPDATE prompt SET answer = a FROM
	(SELECT id AS i, bitnet_generate('prompt ' || id, 30, 1, id, model => 'late') AS a FROM prompt OFFSET 0) s WHERE i = id;
SELECT bitnet_unload('late')});
append_to_file($node->basedir . '/all.sql', q{\set i :client_id + 1
INSERT INTO failure SELECT id FROM prompt
	WHERE id = :i AND bitnet_generate('prompt ' || id, 30, 1, id, model => 'late') IS DISTINCT FROM answer;
});
my $late_loads = "SELECT loads FROM bitnet_models WHERE name = 'late'";
my %engines = map { $_ => 1 } split /\n/, observe('SELECT pid FROM bitnet_engines');
my ($out, $err, $bench, $loads, $loader);

# If the load has ended before its process is stopped, all do it once more.
foreach (1 .. 5)
{
	($out, $err) = ('', '');
	$loads = observe($late_loads);
	$bench = IPC::Run::start([ 'pgbench', '--no-vacuum', '--host', $node->host, '--port', $node->port,
			'--client', $clients, '--transactions', 1, '--file', $node->basedir . '/all.sql', 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err);
	catch(sub {
		($loader) = grep { !$engines{$_} && threads($_) > 1 } children();
		$loader || observe($late_loads) > $loads;
	}) or die 'no load';
	kill 'STOP', $loader if $loader;
	last if observe($late_loads) == $loads;
	kill 'CONT', $loader if $loader;
	$bench->finish;
	answer("SELECT bitnet_unload('late')");
}
ok(wait_until(sub { observe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") eq $clients - 1 }),
	'all connections call a function at the same time');
my $last = new_session();
like(($node->psql('postgres', 'SELECT 1'))[2], qr/too many clients already/, 'there is no other one');
$last->quit;
kill 'CONT', $loader;
$bench->finish;
like($out, qr{number of transactions actually processed: $clients/$clients}, 'all of them succeed') or diag($err);
is(observe('SELECT count(*) FROM failure'), '0', 'with the right answers');
is(observe($late_loads), $loads + 1, 'from one more load');
is(observe("SELECT count(*) || ' ' || sum(sessions + sequences + cache_used) FROM bitnet_engines WHERE model = 'late'"),
	'1 0', 'by one engine, which has nothing left');

# ---- what ends a load, or happens to its file ----

my $answer_late = "SELECT md5(bitnet_generate('x', 5, 1, model => 'late', $raw))";
my $right_late = answer($answer_late);

# Another file at first under a name of its own, to have its answer
make_model("$models/next.gguf", @shape, qw(--layers 2 --vocab 20000 --seed 4));
my $right_next = answer($answer_late =~ s/'late'/'next'/r);
answer("SELECT bitnet_unload('next'), bitnet_unload('late')");
isnt($right_next, $right_late, 'another file answers otherwise');
rename "$models/next.gguf", "$models/next" or die;

sub keep_copy
{
	my ($model) = @_;

	copy("$models/$model.gguf", "$models/$model.copy") or die;
	return;
}

sub put_back
{
	my ($model) = @_;

	rename("$models/$model.copy", "$models/$model.gguf") or die;
	return;
}

sub cut_file
{
	my ($model) = @_;

	truncate("$models/$model.gguf", (-s "$models/$model.gguf") / 2) or die;
	return;
}

my $session = new_session();
my $pid;

foreach my $case (
	[ 'canceled', sub { observe("SELECT pg_cancel_backend($pid)") }, qr/ERROR:  57014: canceling statement/ ],
	[ 'of a file that is cut', sub { cut_file('late') }, qr/ERROR:  XX001: .*the file became shorter while it was read/s ],
	[ 'of a file that is removed', sub { unlink $late or die }, qr/^\w+$/ ],
	[ 'of a file that is replaced', sub { rename "$models/next", $late or die }, qr/^\w+$/ ],
	[ 'terminated', sub { observe("SELECT pg_terminate_backend($pid)") }, qr/FATAL:  57P01: / ])
{
	my ($what, $act, $expected) = @$case;
	my $ends = $what eq 'terminated';
	my $result;

	keep_copy('late');
	(undef, $pid) = held_load($answer_late, $session);
	my $read = bytes_read($pid);
	$act->();
	kill 'CONT', $pid;
	$result = $ends ? end_of_session($session) : end_of_statement($session);
	like($result, $expected, "a load $what");
	is($result, $right_late, 'has what the file was')
	  if $what =~ /removed|replaced/;

	# Not all that is left of 49 MB, but what was on its way
	cmp_ok(bytes_read($pid) - $read, '<', 16 * $megabyte, 'ends at once') if $what eq 'canceled';
	if ($ends)
	{
		ok(wait_until(sub { !-e "/proc/$pid" }), 'has no process');
	}
	else
	{
		# A thread that has been joined may show for a moment.
		wait_until(sub { threads($pid) == 1 });
		is(join(' ', threads($pid), open_models($pid), lost_segments($pid)), '1 0 0',
			'has no thread, file or hidden segment left');
	}
	is(answer($answer_late), $right_next, 'the next statement takes the new file') if $what =~ /replaced/;
	$session->query('SELECT bitnet_unload(\'late\')') unless $ends;
	wait_until(sub { segments($node) == @images });
	is_deeply([ segments($node) ], \@images, 'nor a segment that shows');
	is(observe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'nor a lock');
	put_back('late');
}
is(answer($answer_late), $right_late, 'the next one loads the model');
answer("SELECT bitnet_unload('late')");

# Reading is done with: what happens to the file then is of no effect.
my $long = "SELECT md5(bitnet_generate('y', 500, temperature => 1, $raw))";
my $right_long = answer("SET bitnet.shared_engine = off; $long");

keep_copy('slow');
$session = new_session();
(undef, $pid) = start_statement($long, $session);
is_in_state($pid, 'decode') or die 'no decode';
cut_file('slow');
is(end_of_statement($session), $right_long, 'a file that is cut while its model computes');
like($session->query($long) . $session->{stderr}, qr/\Q$right_long\E.*WARNING:  XX001: could not load the changed model file/s,
	'is a warning to the next statement');
$session->{stderr} = '';
put_back('slow');
is($session->query_safe($long), $right_long, 'a good one is taken again');
$session->quit;

# ---- processes that are killed ----

foreach my $phase ('load', 'decode', 'prefill without an engine', 'decode without an engine', 'waiting')
{
	my @sessions = $phases{$phase}->();
	my ($killed, $pid) = @{ $sessions[0] };
	my %now;

	if ($phase eq 'decode without an engine')
	{
		keep_copy('other');
		cut_file('other');
		%now = (loaded => 'slow 1', other => 'XX001');
	}
	kill_process("kill -9 during $phase", $pid, $killed, [ map { $_->[0] } @sessions ], %now);
	put_back('other') if %now;
}

# The engine, at work for some sessions while another one waits.  It is stopped
# while sessions come, lest the first ones are done when the last one is there.
{
	my $states = "SELECT string_agg(state, ' ' ORDER BY state) FROM bitnet_activity";
	my $short = "SELECT bitnet_generate('x', 1000, temperature => 1, seed => %d, $raw)";
	my @open = map { new_session() } 1 .. 4;
	my @sessions;
	my $start = sub { push @sessions, (start_statement($_[0], shift @open))[0] };

	$start->(sprintf($short, 1));
	catch(sub { observe($states) eq 'decode' }) or die 'no decode';
	my $pid = observe("SELECT pid FROM bitnet_engines WHERE model = 'slow'");
	kill 'STOP', $pid;
	$start->(sprintf($short, 2));
	$start->("SELECT bitnet_embed(bitnet_truncate(repeat('some long text ', 3000), 3000))");
	wait_until(sub { observe($states) eq 'decode queued queued' }) or die 'not queued';
	kill 'CONT', $pid;
	catch(sub { observe($states) eq 'decode decode prefill' && is_running($pid) }) or die 'no such moment';
	kill 'STOP', $pid;
	$start->($decode);
	ok(wait_until(sub { observe($states) eq 'decode decode prefill queued' }),
		'an engine serves sessions in all states');
	kill_process('kill -9 of the engine', $pid, $observer, \@sessions);
}

# The preload worker, while it rests, and the next one while it loads; if that has
# ended before it is stopped, once more
{
	my $worker;

	foreach (1 .. 5)
	{
		my $log = -s $node->logfile;

		kill 'KILL', observe("SELECT pid FROM pg_stat_activity WHERE backend_type = 'bitnet preload'");
		catch(sub {
			($worker) = grep { threads($_) > 1 } children();
			$worker || slurp_file($node->logfile, $log) =~ /loaded model "other"/;
		}) or die 'no preloading';
		kill 'STOP', $worker if $worker;
		end_of_session($observer);
		$node->wait_for_log(qr/database system is ready to accept connections/, $log);
		$observer = new_session();
		last if observe($loaded) eq '';
		kill 'CONT', $worker if $worker;
		wait_until(sub { observe($loaded) eq $both });
	}
	is(observe("SELECT count(*) FROM pg_stat_activity WHERE pid = $worker AND backend_type = 'bitnet preload'"), '1',
		'the preload worker loads');
	is(observe($loaded), '', 'and there is no model yet');
	kill_process('kill -9 of the preload worker while it loads', $worker, $observer, []);
}

# The postmaster: its processes end by themselves
{
	my ($session, $pid) = @{ ($phases{decode}->())[0] };
	my $before = before();

	$node->kill9;
	ok(wait_until(sub { !grep { -e "/proc/$_" } @{ $before->{processes} } }), 'without the postmaster all end');
	end_of_session($_) foreach $session, $observer;
	$node->start;
	is_recovered('kill -9 of the postmaster', $before);
}

# ---- shutdown, and preloaded files that change until the next start ----

keep_copy('other');
stop_and_start('load', 'fast', file => sub { unlink "$models/other.gguf" or die }, loaded => 'slow 1', other => '42704');
stop_and_start('load', 'immediate', file => sub { rename "$models/newer", "$models/other.gguf" or die }, other => $newer);
stop_and_start('prefill', 'fast', file => sub { cut_file('other') }, loaded => 'slow 1', other => 'XX001');
stop_and_start('prefill', 'immediate', file => sub { put_back('other') });
stop_and_start($_, 'fast') foreach 'decode', 'waiting';
stop_and_start($_, 'immediate') foreach 'decode without an engine', 'waiting';

$observer->quit;
$node->stop;
is_deeply([ files_in_memory() ], [], 'in the end there is nothing in memory');
done_testing();
