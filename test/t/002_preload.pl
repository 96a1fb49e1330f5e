# Models loaded at server start, and brought back after a crash.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $preload = "shared_preload_libraries = '$ENV{BITNET_MODULE}'\n"
  . "restart_after_crash = on\n";

my $node = start_server(
	'preload',
	conf => $preload . "bitnet.preload_models = 'first, broken, absent, second'\n",
	before_start => sub {
		my $models = $_[0]->basedir . '/models';

		make_model("$models/first.gguf", qw(--vocab 8000));
		make_model("$models/second.gguf");
		open my $fh, '>', "$models/broken.gguf" or die;
		print $fh "this is not a model\n";
		close $fh;
	});
my $loaded = q{SELECT string_agg(name, ' ' ORDER BY name) = 'first second' FROM bitnet_models WHERE state = 'loaded'};

ok($node->poll_query_until('postgres', $loaded), 'the models are loaded without any call');
my $log = slurp_file($node->logfile);
like($log, qr/WARNING:  could not preload model "broken": could not load model file/,
	'a broken file is a warning');
like($log, qr/WARNING:  could not preload model "absent": model "absent" does not exist/,
	'so is a missing one');
is($node->safe_psql('postgres', "SELECT loads FROM bitnet_models WHERE name = 'first'"), '1',
	'each was loaded once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'bitnet preload'}),
	'1', 'the worker stays');

# A backend dies hard: the server drops all shared memory and starts again
my $victim = $node->background_psql('postgres', on_error_stop => 0);
$victim->query("SELECT bitnet_count_tokens('x', 'first')");
my $pid = backend_pid($victim);
my ($old) = segments($node);
my $restarts = -s $node->logfile;
kill 'KILL', $pid;
$node->wait_for_log(qr/database system is ready to accept connections/, $restarts);
ok($node->poll_query_until('postgres', $loaded), 'after a crash the models come back by themselves');
is_deeply([ segments($node) ], [$old], 'and the old segments are gone');
like($node->safe_psql('postgres', "SELECT bitnet_count_tokens('x', 'first')"), qr/^\d+$/,
	'a new session uses the model');
eval { $victim->quit };

# What failed is tried again when the configuration is read again
make_model($node->basedir . '/models/absent.gguf');
$node->reload;
ok($node->poll_query_until('postgres',
		"SELECT state = 'loaded' FROM bitnet_models WHERE name = 'absent'"),
	'a reload of the configuration tries again what failed');

# and brings back what was unloaded meanwhile.  It sleeps when it has looked at all.
my $worker = q{FROM pg_stat_activity WHERE backend_type = 'bitnet preload'};
ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' $worker"), 'the worker rests');
is($node->safe_psql('postgres', "SELECT bitnet_unload('second') > 0; SELECT state FROM bitnet_models WHERE name = 'second'"),
	"t\navailable", 'a preloaded model can be unloaded');
$node->reload;
ok($node->poll_query_until('postgres',
		"SELECT state || loads = 'loaded2' FROM bitnet_models WHERE name = 'second'"),
	'a reload of the configuration brings it back');

# The worker can be ended, and the server stopped while it loads
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $worker");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 $worker"), 'the worker can be ended');
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server does not mind the end of the worker');
make_model($node->basedir . '/models/first.gguf', qw(--layers 8 --hidden 512 --ffn 2048 --heads 4 --vocab 30000));
$node->stop('fast');
$node->start;
$node->stop('fast');
is_deeply([ segments($node) ], [], 'nothing is left in memory after shutdown');

done_testing();
