# Cancel, timeouts and termination while a model computes: in the prompt and in
# the answer, of one text and of many.
#
# Runs alone: it measures time.

use strict;
use warnings;

use BitnetTest;
use Test::More;
use Time::HiRes qw(time usleep);

# The promise is 250 ms; a busy test machine gets more before it counts.
my $limit = 1.5 * $slowness;

# One that takes seconds for a full context,
# with one thread on however large a machine
my $node = start_server('run', conf => "bitnet.kv_cache_size = 256MB\nbitnet.threads = 1\n");
my $models = $node->basedir . '/models';

make_model("$models/slow.gguf",
	qw(--layers 24 --hidden 1024 --ffn 4096 --heads 16 --kv 4 --vocab 2000 --ctx 4096));

# A call with "x" again and again, lest it ends by itself before it is canceled
sub again
{
	my ($x, $call) = @_;

	return "DO \$\$
DECLARE
	x $x;
BEGIN
	LOOP
		BEGIN
			PERFORM $call;
		EXCEPTION WHEN program_limit_exceeded THEN
		END;
	END LOOP;
END \$\$";
}

my $long = "repeat('long text ', 700)";
my %phases = (
	'the prompt' => "SELECT bitnet_embed($long)",
	'the answer' => "SELECT bitnet_generate('x', 4000, temperature => 1, options => '{\"raw\": true}')",
	'many answers' =>
	  "SELECT bitnet_generate(array_agg('text ' || i), 2000) FROM generate_series(1, 100) i",
	'scoring' => again("text := $long", "bitnet_classify(x, '{a,b,c}')"),
	'a summary in parts' => "SELECT bitnet_summarize(repeat('long text ', 5000))",
	'rows' => "SELECT count(bitnet_generate('row ' || i, 500)) FROM generate_series(1, 1000) i",
	'many labels' =>
	  again('text[] := (SELECT labels FROM many)', "bitnet_classify('x', x)"),
	'parts of a long text' => "SELECT bitnet_summarize(repeat('long text ', 8000000))",
	'long stop strings' =>
	  "SELECT bitnet_generate('x', 4000, stop => array_agg(repeat('~', 900) || i)) FROM generate_series(1, 1024) i",
	'looking for the longest word' => again("text := repeat('long text ', 12000000)", "bitnet_generate('x', system => x)"),
	'tokenising' => again("text := repeat('long text ', 20000000)", 'bitnet_count_tokens(x)'));

sub new_session
{
	my $session = open_session($node, 'postgres');

	$session->query_safe("SET bitnet.model = 'slow'; SET client_min_messages = error");
	$session->query_safe("SELECT bitnet_count_tokens('x')");
	return $session;
}

my $session = new_session();
$session->query_safe('CREATE TABLE many AS SELECT array_agg(i::text) AS labels FROM generate_series(1, 1000000) i');
my $pid = backend_pid($session);
my $contexts = "SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'bitnet call'";

# What the engine computes, and what a session computes by itself
my @rounds = ((map { [ $_, 'on' ] } sort keys %phases), map { [ $_, 'off' ] } 'the prompt', 'the answer', 'many answers', 'scoring');

# How long a query goes on after its time is over
sub time_out
{
	my ($phase, $name) = @_;

	$session->query_safe('SET statement_timeout = 200');
	my $start = time;
	$session->query($phases{$phase});
	my $took = time - $start - 0.2;
	like($session->{stderr}, qr/canceling statement due to statement timeout/, $name);
	$session->{stderr} = '';
	$session->query_safe('SET statement_timeout = 0');
	return $took;
}

foreach my $round (@rounds)
{
	my ($phase, $shared) = @$round;

	$session->query_safe("SET bitnet.shared_engine = $shared");
	in_time(sub { cancel_query($node, $session, $pid, $phases{$phase}, 300_000, "$phase can be cancelled, with a shared engine $shared") },
		$limit, 'at once');
	in_time(sub { time_out($phase, "a timeout ends $phase") }, $limit, 'in time');
	is($session->query_safe($contexts), '0', 'nothing is left behind');
}

$session->query_safe('RESET bitnet.shared_engine');
is( $session->query_safe("SELECT bitnet_generate('x', 5) = bitnet_generate('x', 5)"),
	't', 'the session goes on working');
is($session->query_safe('SELECT pg_backend_pid()'), $pid, 'and is the same');
$session->quit;

# A block catches a timeout, once it has begun
my $timeout = int(1000 * $slowness);
is( $node->safe_psql('postgres', qq{
SET bitnet.model = 'slow';
SET statement_timeout = $timeout;
DO \$\$
BEGIN
	LOOP
		PERFORM bitnet_generate('x', 4000);
	END LOOP;
EXCEPTION WHEN query_canceled THEN
	PERFORM set_config('test.caught', 'yes', false);
END \$\$;
SET statement_timeout = 0;
SELECT current_setting('test.caught'), bitnet_generate('x', 2) IS NOT NULL;}),
	'yes|t', 'a block can catch it');

# Termination in the middle
sub terminate
{
	my $ends = new_session();
	my $its_pid = backend_pid($ends);

	start_query($ends, $phases{'many answers'});
	usleep(300_000);
	my $start = time;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($its_pid)");
	ok(wait_until(sub {
		$node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $its_pid") eq '0';
	}), 'a session can be terminated');
	my $took = time - $start;
	eval { $ends->quit };
	return $took;
}
in_time(\&terminate, $limit + 1, 'at once');

# Nothing of all this disturbs the others
is( $node->safe_psql('postgres',
		"SELECT count(*), bool_and(loads = 1) FROM bitnet_models WHERE name = 'slow'"),
	'1|t', 'the model stays loaded');
like($node->safe_psql('postgres', "SET bitnet.model = 'slow'; SELECT bitnet_count_tokens('some text')"),
	qr/^\d+$/, 'and usable');

$node->stop;
done_testing();
