# The worker that computes for all sessions: the same results as without it,
# together where there are several, and nothing lost whoever ends when.
#
# Runs alone: it measures time.

use strict;
use warnings;

use BitnetTest;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# One step of the slow model takes long enough for others to come meanwhile.
my $node = start_server('engine',
	conf => "bitnet.kv_cache_size = 256MB\nbitnet.model = 'slow'\nmax_worker_processes = 8\n",
	before_start => sub {
		my ($node) = @_;

		make_model($node->basedir . '/models/small.gguf');
		make_model($node->basedir . '/models/slow.gguf',
			qw(--layers 8 --hidden 1024 --ffn 4096 --heads 16 --kv 4 --vocab 8000 --ctx 4096));
	});
my $models = $node->basedir . '/models';
my ($processors) = run_command(['nproc']);
my $raw = q(options => '{"raw": true}');

# A session that stays, but never has a model.
my $observer;

sub observe
{
	$observer //= open_session($node, 'postgres');
	return $observer->query_safe($_[0]);
}

# In a session of its own, unless it only looks
sub query
{
	my ($query) = @_;

	return observe($query) if $query =~ /^SELECT [^;]* FROM (bitnet_|pg_)/ && $query !~ /bitnet_(check|generate)\(/;
	return $node->safe_psql('postgres', $query);
}

# What the view shows of a model's engine.
sub engine
{
	my ($columns, $model) = @_;

	return observe("SELECT $columns FROM bitnet_engines WHERE model = '" . ($model // 'slow') . "'");
}

# A restart ends that session
sub restart
{
	$observer->quit if $observer;
	undef $observer;
	$node->restart;
	return;
}

sub engine_is
{
	my ($condition) = @_;

	return wait_until(sub { engine($condition) eq 't' });
}

# The engine begins with the query of a session that stands still from then on.
# Returns its backend and how many steps there were before.
sub start_for_still
{
	my ($session, $query) = @_;
	my $caller = backend_pid($session);
	my $engine = engine('pid');

	kill 'STOP', $engine;
	start_query($session, $query);
	ok(wait_until(sub { query("SELECT count(*) FROM bitnet_activity WHERE pid = $caller") eq '1' }), 'a call waits');
	ok(wait_until(sub {
		query("SELECT wait_event_type || ' ' || wait_event FROM pg_stat_activity WHERE pid = $caller") eq
		  'Extension ' . ($node->pg_version >= 17 ? 'BitnetEngine' : 'Extension');
	}), 'for the engine');
	kill 'STOP', $caller;
	my $steps = engine('steps');
	kill 'CONT', $engine;
	return ($caller, $steps);
}

# A long answer, which random weights never end.  It lasts while a test looks at it.
sub long_answer
{
	my ($n, $tokens) = @_;

	$tokens //= 400;
	return "SELECT md5(bitnet_generate('session $n', $tokens, temperature => 1, seed => $n, $raw))";
}

# Who starts one, and what it looks like

query("SELECT bitnet_count_tokens('x'), bitnet_tokenize('x')");
is(query('SELECT count(*) FROM bitnet_engines'), '0', 'counting tokens needs no engine');
query("SET bitnet.shared_engine = off; SELECT bitnet_generate('x', 2)");
is(query('SELECT count(*) FROM bitnet_engines'), '0', 'nor does a session that computes by itself');
query("SELECT bitnet_generate('x', 2)");
is(engine('sessions, sequences, cache_used'), '0|0|0', 'the first call starts one');
my $pid = engine('pid');
ok(wait_until(sub {
	query("SELECT backend_type, datname IS NULL, state, backend_xid IS NULL, backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $pid") eq
	  'bitnet engine|t|idle|t|t';
}), 'which is a worker without a database or a transaction');
query("SELECT bitnet_generate('x', 2, model => 'small')");
is(query('SELECT string_agg(model, \' \' ORDER BY model) FROM bitnet_engines'), 'slow small',
	'another model has another one');
is(engine('pid'), $pid, 'and later calls use those');

# The same bytes

my @calls = (
	'SELECT bitnet_generate(array_agg(body ORDER BY id), 12) FROM docs',
	'SELECT string_agg(bitnet_generate(body, 20, 1.5, id), \';\' ORDER BY id) FROM docs',
	"SELECT string_agg(g, ';' ORDER BY id) FROM (SELECT id, bitnet_generate(body, 40, 1, id, stop => ARRAY['a', 'e', ' ']) AS g FROM docs) s",
	"SELECT string_agg(bitnet_generate(body, 40, 1, id, stop => ARRAY['a', 'e', ' ']), ';' ORDER BY id) FROM docs",
	'SELECT string_agg(bitnet_summarize(repeat(body, 200), 5), \';\' ORDER BY id) FROM docs WHERE id <= 3',
	"SELECT bitnet_summarize_agg(repeat(body, 20) ORDER BY id) FROM docs",
	"SELECT string_agg(bitnet_classify(body, '{a,b,c}'), ';' ORDER BY id) FROM docs",
	"SELECT string_agg(label || probability, ';') FROM bitnet_classify_scores('text', '{a,b,c,d}')",
	'SELECT string_agg(bitnet_embed(body)::text, \';\' ORDER BY id) FROM docs',
	"SELECT string_agg(ord || embedding::text, ';') FROM bitnet_embed('{one,two,NULL}'::text[])",
	"SELECT sum(bitnet_similarity(body, 'other')) FROM docs",
	"SELECT string_agg(token_id || ' ' || logprob, ';') FROM bitnet_next_tokens('text', 30)",
	"SELECT sum(bitnet_logprob(body, 'context ')) FROM docs",
	q(SELECT bitnet_chat('[{"role": "user", "content": "hello"}]', 9)));

query(q{CREATE TABLE docs AS SELECT i AS id, 'row ' || i || repeat(' word', i % 5) AS body, repeat('x', 1000) AS pad FROM generate_series(1, 40) i;
	ALTER TABLE docs SET (parallel_workers = 2); ANALYZE docs});
foreach my $call (@calls)
{
	my $of = "SET max_parallel_workers_per_gather = 0; SET bitnet.model = 'small'; SELECT md5(($call)::text)";

	is(query($of), query("SET bitnet.shared_engine = off; $of"), "the same from an engine: $call");
}
is(engine('cache_used', 'small'), '0', 'no page of the cache stays in use');

# Several sessions in the same steps

my @answers = map { query('SET bitnet.shared_engine = off; ' . long_answer($_)) } 1 .. 3;
my @sessions = map { open_session($node, 'postgres') } 1 .. 3;

# The first sessions ask, and the engine begins when all of them have.  Returns its pid.
sub start_together
{
	my ($n) = @_;
	my $engine = engine('pid');

	kill 'STOP', $engine;
	start_query($sessions[$_], long_answer($_ + 1)) for 0 .. $n - 1;
	ok(wait_until(sub { query('SELECT count(*) FROM bitnet_activity') eq $n }), "$n sessions wait for the engine");
	kill 'CONT', $engine;
	return $engine;
}

query("SELECT bitnet_generate('x', 2); SELECT bitnet_stats_reset('slow')");
start_together(3);
is_deeply([ map { end_of_query($_) } @sessions ], \@answers, 'sessions at the same time get the answers of each alone');
is(engine('sessions, sequences, cache_used'), '0|0|0', 'and leave nothing');
cmp_ok(query("SELECT sequences_per_step FROM bitnet_stats WHERE model = 'slow'"), '>', 1,
	'steps had the tokens of more than one');

# One is cancelled, one terminated, one goes on

my @pids = map { backend_pid($_) } @sessions;

start_query($sessions[1], long_answer(2, 4000));
in_time(sub {
	start_query($sessions[0], long_answer(1, 4000));
	ok(engine_is('sequences = 2'), 'two compute together');
	start_query($sessions[2], long_answer(3));
	ok(engine_is('sessions = 3'), 'a third one joins them');
	my $start = time;
	query("SELECT pg_cancel_backend($pids[0])");
	end_of_query($sessions[0]);
	my $took = time - $start;
	like($sessions[0]->{stderr}, qr/canceling statement due to user request/, 'one is cancelled');
	$sessions[0]->{stderr} = '';
	is(end_of_query($sessions[2]), $answers[2], 'which does not disturb the others');
	return $took;
}, 1.5 * $slowness, 'a cancel does not wait for the others');
start_query($sessions[2], long_answer(3));
ok(engine_is('sessions = 2'), 'once more');
query("SELECT pg_terminate_backend($pids[1])");
is(end_of_query($sessions[2]), $answers[2], 'nor does it when one is terminated');
ok(engine_is('sessions = 0 AND sequences = 0 AND cache_used = 0'), 'all is given back');
eval { $sessions[1]->quit };
$sessions[1] = open_session($node, 'postgres');
$sessions[0]->query("SET statement_timeout = " . int(300 * $slowness) . "; " . long_answer(1, 4000));
like($sessions[0]->{stderr}, qr/canceling statement due to statement timeout/, 'a timeout');
$sessions[0]->{stderr} = '';
$sessions[0]->query_safe('RESET statement_timeout');
ok(engine_is('sessions = 0 AND cache_used = 0'), 'gives all back, too');

# The worker is terminated

$pid = engine('pid');
start_together(3);
ok(engine_is('sequences = 3'), 'which computes for them');
query("SELECT pg_terminate_backend($pid)");
is_deeply([ map { end_of_query($_) } @sessions ], \@answers, 'when it is terminated they get the same answers');
is($_->{stderr}, '', 'without a word') for @sessions;
isnt(engine('pid'), $pid, 'from another one');
query("SELECT pg_terminate_backend(pid) FROM bitnet_engines");
ok(wait_until(sub { query('SELECT count(*) FROM bitnet_engines') eq '0' }), 'one that is idle can be terminated');
is(query(long_answer(1)), $answers[0], 'and the next call starts it again');

# It ends when a session has seen a stop string but it has not heard of that: then
# the next one is told.  Both stand still while that is arranged.

{
	my $call = "bitnet_generate('session 5', %d, temperature => 1, seed => 5, $raw";
	my $stop = query('SET bitnet.shared_engine = off; SELECT encode(convert_to(substr(' . sprintf($call, 60) . "), 20, 4), 'UTF8'), 'hex')");
	my $query = 'SELECT md5(' . sprintf($call, 2000) . ", stop => ARRAY[convert_from('\\x$stop', 'UTF8')]))";
	my $right = query("SET bitnet.shared_engine = off; $query");

	query("SELECT bitnet_stats_reset('slow')");
	$pid = engine('pid');
	my ($caller, $steps) = start_for_still($sessions[0], $query);
	ok(engine_is("steps > $steps + 60"), 'the engine is behind a stop string');
	kill 'STOP', $pid;
	kill 'CONT', $caller;
	ok(wait_until(sub { slurp_file("/proc/$caller/stat") =~ /\) S / }), 'the session has seen it');
	query("SELECT pg_terminate_backend($pid)");
	kill 'CONT', $pid;
	is(end_of_query($sessions[0]), $right, 'when the engine ends then, the answer is the same');
	isnt(engine('pid'), $pid, 'from the next one');
	cmp_ok(query("SELECT generated_tokens FROM bitnet_stats WHERE model = 'slow'"), '<', 1900, 'which stops there, too');
}

# What is done lies there until its owner, which stands still, has seen it.

{
	my $query = "SELECT md5(bitnet_generate('session 6', 60, temperature => 1, seed => 6, $raw, stop => ARRAY['no such words']))";
	my $right = query("SET bitnet.shared_engine = off; $query");
	my ($caller, $steps) = start_for_still($sessions[0], $query);

	ok(engine_is("steps > $steps + 50 AND sessions = 0"), 'it is computed');
	$steps = engine('steps');
	start_query($sessions[1], long_answer(2));
	ok(engine_is("steps > $steps + 5 AND sessions = 1"), 'then another one is, alone');
	is(end_of_query($sessions[1]), $answers[1], 'with the same answer');
	kill 'CONT', $caller;
	is(end_of_query($sessions[0]), $right, 'and the first one is as it was');
}

# As many threads compute as the session that asks for most of them wants, or there are processors

foreach my $threads ([ 1, 1 ], [ 1, 2 ], [ 2, 1 ])
{
	my $most = 0;

	$sessions[$_]->query_safe("SET bitnet.threads = $threads->[$_]") for 0, 1;
	$pid = start_together(2);
	while (query('SELECT count(*) FROM bitnet_activity') ne '0')
	{
		$most = max($most, scalar(() = glob "/proc/$pid/task/*")) for 1 .. 100;
	}
	is(end_of_query($sessions[$_]), $answers[$_], "the same answer ($_)") for 0, 1;
	is($most, min(max(@$threads), $processors), "threads, with @$threads");
}
$_->query_safe('RESET bitnet.threads') for @sessions[0, 1];

# Unloading and loading again while it computes

my $longer = query(long_answer(4, 1500));

start_query($sessions[0], long_answer(4, 1500));
ok(engine_is('sequences = 1'), 'one computes');
$pid = engine('pid');
is(query("SELECT bitnet_load('slow', reload => true)"), 't', 'the model is loaded again');
start_query($sessions[1], long_answer(2));
ok(engine_is("count(*) = 2 AND bool_or(pid = $pid)"), 'there is an engine for the new image, too');
is(end_of_query($sessions[0]), $longer, 'the old one goes on');
is(end_of_query($sessions[1]), $answers[1], 'beside the new one');
ok(wait_until(sub { engine("count(*) || ' ' || bool_and(pid <> $pid)") eq '1 true' }),
	'and ends with what it had to do');

start_query($sessions[0], long_answer(1));
ok(engine_is('sequences = 1'), 'one computes');
is(query("SELECT bitnet_unload('slow') > 0"), 't', 'the model is unloaded');
is(end_of_query($sessions[0]), $answers[0], 'the answer comes all the same');
ok(wait_until(sub { engine('count(*)') eq '0' }), 'then its engine ends');
$_->quit for @sessions;
ok(wait_until(sub { segments($node) == 0 }), 'and the memory is free');

# So does one that has nothing to do, before unloading returns.  The session that asked
# it must have gone; and for an engine that stands still unloading does not wait long.
my @left;
foreach (1 .. 3)
{
	query("SELECT bitnet_generate('x', 2)");
	is(scalar(segments($node)), 1, 'an engine that has nothing to do');
	wait_until(sub { query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") eq '1' });
	query("SELECT bitnet_unload('slow')");
	@left = segments($node);
	last if !@left;
	wait_until(sub { segments($node) == 0 });
}
is_deeply(\@left, [], 'gives the memory back at once');

# A statement that began before goes on without an engine

my $session = open_session($node, 'postgres');
my $ten = 'SELECT bitnet_generate(body, 20) FROM docs WHERE id <= 10 ORDER BY id';
my $expected = query("SET bitnet.shared_engine = off; $ten");

$session->query_safe("SET bitnet.enable_batch_scan = off; BEGIN; DECLARE c CURSOR FOR $ten");
my $got = $session->query_safe('FETCH 5 FROM c');
query("SELECT bitnet_unload('slow')");
$got .= "\n" . $session->query_safe('FETCH 5 FROM c');
is($got, $expected, 'a cursor over a model that was unloaded');
is(engine('count(*)'), '0', 'needs no engine of it');
$session->quit;

# Parallel workers

my $parallel = 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;'
  . ' SET min_parallel_table_scan_size = 0;';
query("SELECT bitnet_load('slow'); SELECT bitnet_stats_reset()");
like(query("$parallel EXPLAIN (ANALYZE, COSTS OFF) SELECT bitnet_generate(body, 8) FROM docs"),
	qr/Workers Launched: 2/, 'parallel workers');
is(query("SELECT cache_used, (SELECT sequences_per_step > 1 FROM bitnet_stats WHERE model = 'slow') FROM bitnet_engines WHERE model = 'slow'"),
	'0|t', 'ask the same engine');

# The size of the cache

$node->append_conf('postgresql.conf', "bitnet.kv_cache_size = 1MB\n");
$node->reload;
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n" . long_answer(1, 4000));
like($err, qr/ERROR:  54000: .* 1 MB are allowed.*HINT:  Raise "bitnet.kv_cache_size"/s, 'a smaller cache counts from the next call on');
$node->append_conf('postgresql.conf', "bitnet.kv_cache_size = 200MB\n");
$node->reload;
is(query(long_answer(1)), $answers[0], 'so does a larger one');
is(engine('cache_size > 190000000'), 't', 'in another engine');
$session = open_session($node, 'postgres');
start_query($session, long_answer(1, 4000));
ok(engine_is('sequences = 1'), 'one computes');
$pid = engine('pid');
$node->append_conf('postgresql.conf', "bitnet.kv_cache_size = 100MB\n");
$node->reload;
is(query(long_answer(1)), $answers[0], 'a change while an engine works does not hold up anybody');
is(engine("count(*) || ' ' || min(cache_size) / 100000000 || ' ' || bool_or(pid = $pid)"), '2 1 true', 'as there is another engine');
query('SELECT pg_cancel_backend(pid) FROM bitnet_activity');
end_of_query($session);
$session->quit;
ok(engine_is("count(*) = 1 AND bool_and(pid <> $pid)"), 'until the old one has done its work');
$node->append_conf('postgresql.conf', "bitnet.kv_cache_size = 2000GB\n");
$node->reload;
is(query(long_answer(1)), $answers[0], 'with one that no machine has, there is an answer, too');
$node->append_conf('postgresql.conf', "bitnet.kv_cache_size = 200MB\n");

# Threads and kernels are the caller's wish

is( query("SET bitnet.threads = 2; SET bitnet.kernel = 'scalar'; SET bitnet.model = 'small'; SELECT bitnet_generate('row 1', 9)"),
	query("SET bitnet.model = 'small'; SELECT bitnet_generate('row 1', 9)"), 'any threads and kernels');

# No worker to be had

$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
restart();
$session = open_session($node, 'postgres');
start_query($session, long_answer(1));
ok(wait_until(sub { query('SELECT function, state FROM bitnet_activity') eq 'bitnet_generate|decode' }),
	'without workers a session computes by itself, which shows');
is(end_of_query($session), $answers[0], 'with the same result');
is(query('SELECT count(*) FROM bitnet_engines'), '0', 'and no engine');
like(query("SELECT status, hint FROM bitnet_check() WHERE item = 'engine'"), qr/^warning\|Raise "max_worker_processes"/,
	'which bitnet_check tells');
is(query('SELECT count(*) FROM bitnet_activity'), '0', 'nor anything that seems to run');
$session->quit;

# The worker dies hard: the server starts again

$node->append_conf('postgresql.conf', "max_worker_processes = 8\nrestart_after_crash = on\n"
	  . "shared_preload_libraries = '$ENV{BITNET_MODULE}'\nbitnet.preload_models = 'slow'\n");
restart();
my $loaded = "SELECT state = 'loaded' FROM bitnet_models WHERE name = 'slow'";
ok($node->poll_query_until('postgres', $loaded), 'the model is preloaded');
$session = open_session($node, 'postgres');
$session->query_safe('SELECT 1');
start_query($session, long_answer(1, 4000));
ok(engine_is('sequences = 1'), 'a session waits for an engine');
my $log = -s $node->logfile;
kill 'KILL', engine('pid');
eval { $observer->quit };
undef $observer;
$node->wait_for_log(qr/database system is ready to accept connections/, $log);
ok($node->poll_query_until('postgres', $loaded), 'after a kill -9 of the engine the model comes back by itself');
is(query('SELECT count(*) FROM bitnet_engines'), '0', 'nothing is left of what was');
is(query(long_answer(1)), $answers[0], 'and a new engine answers');
eval { $session->quit };

# The server stops while it computes
$session = open_session($node, 'postgres');
start_query($session, long_answer(1, 4000));
ok(engine_is('sequences = 1'), 'once more');
my $start = time;
eval { $observer->quit };
$node->stop('fast');
cmp_ok(time - $start, '<', 20 * $slowness, 'the server can be stopped meanwhile');
eval { $session->quit };
is_deeply([ segments($node) ], [], 'and leaves nothing in memory');

done_testing();
