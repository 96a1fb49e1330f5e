# Loading, attaching, replacing and unloading models from several sessions.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('models');
my $models = $node->basedir . '/models';

# Images of these are large enough to be counted
my @large = qw(--vocab 8000);
my @larger = qw(--vocab 16000 --seed 2);

make_model("$models/one.gguf", @large);

is($node->safe_psql('postgres',
		"SELECT state, file_size, bytes IS NULL FROM bitnet_models WHERE name = 'one'"),
	'available|' . (-s "$models/one.gguf") . '|t', 'a file is listed before it is loaded');
is_deeply([ segments($node) ], [], 'nothing is in memory at first');

# Two sessions, one image
my $a = $node->background_psql('postgres');
my $b = $node->background_psql('postgres');

$_->query_safe("SET bitnet.model = 'one'") for $a, $b;
my $count = "SELECT bitnet_count_tokens('Hello, world')";
my $answer = $a->query_safe($count);
like($answer, qr/^\d+$/, 'a session loads the model at first use');
is($b->query_safe($count), $answer, 'another one gets the same answer');
is(scalar(segments($node)), 1, 'from the same segment');
is($node->safe_psql('postgres',
		"SELECT state, loads, storage, architecture, context_length, vocab_size FROM bitnet_models WHERE name = 'one'"),
	'loaded|1|dynamic (mmap)|bitnet-b1.58|512|8000', 'the view describes it');
# 8000 and 1 rows of 128; two layers with Q, K, V, O, three of 256 x 128, and norms of 128, 128, 128 and 256
my $parameters = 8001 * 128 + 2 * (128 * (128 + 64 + 64 + 128 + 3 * 256) + 3 * 128 + 256);
is($a->query_safe("SET bitnet.kernel = 'scalar'; SELECT parameters, kernel, loaded_at BETWEEN pg_postmaster_start_time() AND clock_timestamp() "
	  . "FROM bitnet_models WHERE name = 'one'; RESET bitnet.kernel"), "$parameters|scalar|t", 'and how it is computed with');
my $of_load = "SELECT checksum, loaded_at FROM bitnet_models WHERE name = 'one'";
my ($checksum, $loaded_at) = split /\|/, $node->safe_psql('postgres', $of_load);

my ($bytes) = segments($node);
is($node->safe_psql('postgres', "SELECT bytes FROM bitnet_models WHERE name = 'one'"),
	$bytes, 'the view tells the size of the segment');
is($node->safe_psql('postgres', "SELECT bitnet_load('one')"), 'f', 'loading again does nothing');
is($node->safe_psql('postgres', "SELECT bitnet_load('one', reload => true)"), 't',
	'unless it is asked for');
my ($checksum_again, $loaded_again) = split /\|/, $node->safe_psql('postgres', $of_load);
is($checksum_again, $checksum, 'the same file has the same checksum');
cmp_ok($loaded_again, 'gt', $loaded_at, 'and was loaded later');
is($a->query_safe($count), $answer, 'the answer stays the same');
$b->query_safe($count);
is(scalar(segments($node)), 1, 'the old image is gone when both have moved on');

# A statement that runs keeps its model; the next one has the new file
$a->query_safe("BEGIN; DECLARE c CURSOR FOR SELECT bitnet_count_tokens('Hello, world' || i) FROM generate_series(1, 3) i");
my $first = $a->query_safe('FETCH 1 FROM c');
replace_model("$models/one.gguf", @larger);
is($b->query_safe('SELECT vocab_size FROM bitnet_models WHERE state = \'loaded\''), '8000',
	'a new file alone changes nothing');
my $new_answer = $b->query_safe($count);
is($b->query_safe('SELECT vocab_size FROM bitnet_models WHERE state = \'loaded\''), '16000',
	'the next statement loads it');
isnt((split /\|/, $node->safe_psql('postgres', $of_load))[0], $checksum, 'another file has another checksum');
is(scalar(segments($node)), 2, 'the running statement keeps the old image');
is($a->query_safe('FETCH 1 FROM c'), $first, 'and goes on with it');
$a->query_safe('COMMIT');
$a->query_safe($count);
is(scalar(segments($node)), 1, 'which is gone after its next statement');

# A broken file in place of a good one
open my $fh, '>', "$models/one.gguf.new" or die;
print $fh 'GGUF and nothing more';
close $fh;
rename "$models/one.gguf.new", "$models/one.gguf" or die;
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("SET bitnet.model = 'one'");
is($session->query($count), $new_answer, 'a broken new file does not stop the service');
like($session->{stderr}, qr/WARNING:  could not load the changed model file.*HINT: .*  The model as it was loaded before stays in use/s,
	'but there is a warning');
$session->{stderr} = '';
$session->query($count);
is($session->{stderr}, '', 'once');
$session->query("SELECT bitnet_load('one')");
like($session->{stderr}, qr/ERROR:  could not load model file/, 'loading it explicitly is an error');
$session->{stderr} = '';

# Unloading
replace_model("$models/one.gguf", @large);
is($session->query($count), $answer, 'a good file is taken again');
$_->query_safe($count) for $a, $b;
($bytes) = segments($node);
is($session->query_safe("SELECT bitnet_unload('one')"), $bytes, 'unloading tells the bytes');
is($session->query_safe("SELECT bitnet_unload('one')"), '0', 'and a second time none');
is($session->query_safe("SELECT state FROM bitnet_models WHERE name = 'one'"), 'available',
	'the model is no longer loaded');
$_->quit for $a, $b;
ok(wait_until(sub { segments($node) == 0 }), 'and its memory is free when the sessions have gone');
is($session->query_safe($count), $answer, 'the next use loads it again');

# Without its file, a loaded model goes on
unlink "$models/one.gguf" or die;
is($session->query_safe($count), $answer, 'a model whose file was removed stays in use');
is($session->query_safe("SELECT bitnet_unload('one') > 0"), 't', 'until it is unloaded');
$session->query($count);
like($session->{stderr}, qr/ERROR:  model "one" does not exist/, 'and then does not exist');
$session->quit;

# Nor does a language that keeps what it calls functions with keep the model
SKIP:
{
	skip 'PL/Perl is not installed', 1 if $node->psql('postgres', 'CREATE EXTENSION plperl') != 0;
	make_model("$models/kept.gguf");
	my ($status, $out, $err) = $node->psql('postgres', q{
		CREATE DOMAIN short AS text CHECK (bitnet_count_tokens(VALUE, 'kept') < 60);
		CREATE FUNCTION made_short(text) RETURNS short LANGUAGE plperl AS 'return $_[0]';
		SELECT made_short('x');
		\! rm } . "$models/kept.gguf" . q{
		SELECT bitnet_unload('kept') > 0;
		SELECT made_short('x')});
	like("$out$err", qr/^x\nt.*model "kept" does not exist/s, 'an unloaded model is not used in a later transaction');
}

# Parallel workers of one query do not load the model twice
make_model("$models/par.gguf", @large);
is($node->safe_psql('postgres', q{
	SET bitnet.model = 'par';
	CREATE TABLE t AS SELECT i FROM generate_series(1, 20000) i;
	ANALYZE t;
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0;
	SET max_parallel_workers_per_gather = 4;
	SELECT count(DISTINCT bitnet_count_tokens('x')) FROM t;
	SELECT loads FROM bitnet_models WHERE name = 'par';
}), "1\n1", 'parallel workers share one load');

# No more models than there is room for
for my $i (1 .. 9)
{
	make_model("$models/m$i.gguf");
}
my ($result, $stdout, $stderr) = $node->psql('postgres',
	join(';', map { "SELECT bitnet_load('m$_')" } 1 .. 9));
like($stderr, qr/too many models are loaded.*HINT:  Unload one of them/s,
	'a model too many is refused');
is($node->safe_psql('postgres', "SELECT count(*) FROM bitnet_models WHERE state = 'loaded'"), 8,
	'eight have room');
is($node->safe_psql('postgres', "SELECT bitnet_unload('m1') > 0; SELECT bitnet_load('m9')"),
	"t\nt", 'and accepted after one was unloaded');
is($node->safe_psql('postgres', "SELECT string_agg(model, ' ' ORDER BY model) FROM bitnet_stats WHERE model ~ '^m[129]\$'"),
	'm2 m9', 'whose statistics go');

# What cannot be loaded takes no place, neither of a model in memory nor of the
# statistics of one that was
sub refused
{
	my ($model, $reason) = @_;
	my ($result, $stdout, $stderr) = $node->psql('postgres', "SELECT bitnet_count_tokens('x', '$model')");
	return like($stderr, $reason, "$model is refused");
}
append_to_file("$models/bad.gguf", 'not a model');
refused('typo', qr/model "typo" does not exist/);
$node->safe_psql('postgres', "SELECT bitnet_count_tokens('x', 'm2'), bitnet_unload('m2')");
my $before = $node->safe_psql('postgres', 'SELECT * FROM bitnet_stats ORDER BY model');
like($before, qr/^m2\|/m, 'an unloaded model has statistics');
refused('typo', qr/model "typo" does not exist/);
refused('bad', qr/could not load model file/);
is($node->safe_psql('postgres', 'SELECT * FROM bitnet_stats ORDER BY model'), $before, 'and keeps them');
($result, $stdout, $stderr) = $node->psql('postgres', "SELECT bitnet_stats_reset('')");
like($stderr, qr/there are no statistics of model ""/, 'no model has no name');

$node->stop;
done_testing();
