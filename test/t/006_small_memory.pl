# Too little shared memory: the error says what to do, and nothing breaks.
#
# The test runs itself again with a small /dev/shm of its own, as a container
# has it.  Where namespaces are not allowed, it is skipped.

use strict;
use warnings;

# Before the modules of the test redirect its output
BEGIN
{
	my $mount = 'mount -t tmpfs -o size=16m,mode=1777 tmpfs /dev/shm';
	my $back = "exec unshare --user --map-user=$> --map-group=" . (split ' ', $))[0] . ' "$@"';
	my @unshare = qw(unshare --user --map-root-user --mount sh -c);

	if (!$ENV{BITNET_SMALL_SHM})
	{
		if (system(@unshare, "{ $mount && $back; } 2>/dev/null", qw(sh true)) != 0)
		{
			print "1..0 # SKIP needs a mount namespace of its own\n";
			exit 0;
		}
		$ENV{BITNET_SMALL_SHM} = 1;
		exec(@unshare, "$mount && $back", 'sh', $^X, (map { "-I$_" } @INC), $0) or die $!;
	}
}

use BitnetTest;
use Test::More;

# Autovacuum's statistics take shared memory, too.
my $node = start_server('small',
	conf => "dynamic_shared_memory_type = posix\nbitnet.kv_cache_size = 2MB\nautovacuum = off\n");
my $models = $node->basedir . '/models';

sub free_bytes
{
	my ($free) = `df --output=avail -B1 /dev/shm` =~ /(\d+)/;

	return $free;
}

make_model("$models/large.gguf", qw(--layers 2 --hidden 512 --ffn 2048 --heads 4 --vocab 30000));
make_model("$models/small.gguf");

# Since version 17 the server takes some for structures of extensions at first
# use, and keeps it.
$node->safe_psql('postgres', 'SELECT FROM bitnet_models');

my $before = free_bytes();
cmp_ok(-s "$models/large.gguf", '>', $before, 'a model that does not fit');

my ($status, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose
	SELECT bitnet_load(\'large\')');
like($err, qr/ERROR:  53[12]00: not enough shared memory for model "large"/, 'is refused');
like($err, qr/DETAIL:  \d+ MB are needed: /, 'saying how much it needs');
like($err, qr/HINT:  Enlarge \/dev\/shm \(docker run --shm-size\), or set min_dynamic_shared_memory to at least (\d+) MB/,
	'and how to get it');
my ($wanted) = $err =~ /at least (\d+) MB/;
is(free_bytes(), $before, 'nothing is left of it');
is($node->safe_psql('postgres', "SELECT bitnet_load('small')"), 't', 'a smaller model can be loaded');

# Without room to hand requests to an engine, sessions compute by themselves
my $call = "SET bitnet.model = 'small'; SELECT md5(bitnet_generate(array_agg('row ' || i), 2)::text) FROM generate_series(1, 400) i";
my $answer = $node->safe_psql('postgres', $call);
my $engines = 'SELECT steps FROM bitnet_engines';
my $steps = $node->safe_psql('postgres', $engines);

{
	open my $filler, '>', '/dev/shm/filler' or die;
	print $filler "\0" x (free_bytes() - 8192);
	close $filler or die;
}
is($node->safe_psql('postgres', $call), $answer, 'with no shared memory left, answers are the same');
is($node->safe_psql('postgres', $engines), $steps, 'the engine has not computed them');
unlink '/dev/shm/filler' or die;
is($node->safe_psql('postgres', $call), $answer, 'with some, too');
cmp_ok($node->safe_psql('postgres', $engines), '>', $steps, 'and it has');

# A loaded model is not lost when its successor does not fit
my $use = "SELECT bitnet_count_tokens('x', 'small') > 0";

make_model("$models/large.new", qw(--layers 2 --hidden 512 --ffn 2048 --heads 4 --vocab 30000));
rename "$models/large.new", "$models/small.gguf" or die;
($status, $out, $err) = $node->psql('postgres', $use);
like($err, qr/not enough shared memory/, 'a successor that does not fit is an error once');
is($node->safe_psql('postgres', $use), 't', 'and the model stays in use');

# Nor is the cache large enough for all that the context has room for
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose
	SELECT bitnet_generate('x', 2000, model => 'default')");
like($err, qr/ERROR:  54000: .*HINT:  Raise "bitnet.kv_cache_size", shorten the text or lower "max_tokens"\./s,
	'a cache that is too small is an error that says what to do');

# The hint is right
$node->append_conf('postgresql.conf', "min_dynamic_shared_memory = ${wanted}MB\n");
$node->restart;
is($node->safe_psql('postgres', "SELECT bitnet_load('large'); SELECT storage FROM bitnet_models WHERE name = 'large'"),
	"t\nmain region", 'what the hint says helps');
is($node->safe_psql('postgres', "SELECT status FROM bitnet_check() WHERE item = 'shared memory'"), 'ok',
	'and a small /dev/shm is no reason to warn then');

$node->stop;
done_testing();
