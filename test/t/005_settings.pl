# The settings, with and without shared_preload_libraries.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('settings',
	conf => "bitnet.preload_models = 'default'\nbitnet.max_tokens = 7\n");

# What the client is told by the statements, each of which may fail
sub error_of
{
	my ($query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $query, on_error_stop => 0);

	# Of this setting, the first one in the test has more to say
	$err =~ s/^.*WARNING:  invalid configuration parameter name "bitnet.preload_models".*\n?DETAIL:.*\n?//m;
	return $err;
}

# Without preloading
is($node->safe_psql('postgres', "SELECT bitnet_version(); SHOW bitnet.max_tokens"), "0.1.0\n7",
	'the first call brings the settings, with their values from the file');
like($node->safe_psql('postgres', "SELECT bitnet_count_tokens('Hello')"), qr/^\d+$/,
	'the default model answers without preparation');
like(slurp_file($node->logfile), qr/WARNING:  invalid configuration parameter name "bitnet.preload_models"/,
	'preload_models has no effect without preloading, and the log says so');
like($node->safe_psql('postgres', "SELECT status, hint FROM bitnet_check() WHERE item = 'preload'"),
	qr/^warning\|Add "bitnet" to "shared_preload_libraries"/, 'and so does bitnet_check');
is($node->safe_psql('postgres', q{
	LOAD '$libdir/bitnet';
	SELECT string_agg(name || ' ' || context, ', ' ORDER BY name) FROM pg_settings WHERE name LIKE 'bitnet.%'}),
	'bitnet.enable_batch_scan user, bitnet.kernel superuser, bitnet.kv_cache_size sighup, bitnet.max_tokens user, '
	  . 'bitnet.max_tokens_limit superuser, bitnet.model user, bitnet.model_directory sighup, '
	  . 'bitnet.shared_engine superuser, bitnet.threads superuser',
	'who may set what');

like(error_of("LOAD '\$libdir/bitnet'; SET bitnet.kernel = 'abacus'"),
	qr/invalid value for parameter "bitnet.kernel": "abacus"\n.*DETAIL:  This processor can use: auto, .*scalar/s,
	'an unknown kernel is refused, and the known ones are listed');
is($node->safe_psql('postgres', q{LOAD '$libdir/bitnet'; SET bitnet.kernel = 'scalar'; SHOW bitnet.kernel}), 'scalar',
	'a kernel can be forced');
like(error_of("LOAD '\$libdir/bitnet'; SET bitnet.threads = 1000"), qr/outside the valid range/, 'threads have a limit');
like(error_of("LOAD '\$libdir/bitnet'; SET bitnet.no_such = 1"), qr/invalid configuration parameter name/,
	'the prefix is reserved');

$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
for my $setting ("bitnet.threads = 2", "bitnet.kernel = 'scalar'", "bitnet.max_tokens_limit = 10", "bitnet.shared_engine = off")
{
	like(error_of("LOAD '\$libdir/bitnet'; SET ROLE plain; SET $setting"), qr/permission denied to set parameter/,
		"not for everybody: $setting");
}
is(error_of("LOAD '\$libdir/bitnet'; SET ROLE plain; SET bitnet.model = 'default'; SET bitnet.max_tokens = 5"), '',
	'model and max_tokens are');
for my $call ("bitnet_load('default')", "bitnet_unload('default')")
{
	like(error_of("SET ROLE plain; SELECT $call"), qr/permission denied for function/,
		"not for everybody: $call");
}
is(error_of("SET ROLE plain; SELECT * FROM bitnet_models; SELECT bitnet_count_tokens('x')"), '',
	'to use models and to list them is');

# An empty directory setting means the installed models only
$node->append_conf('postgresql.conf', "bitnet.model_directory = ''\n");
$node->reload;
like($node->safe_psql('postgres', "SELECT bitnet_count_tokens('Hello')"), qr/^\d+$/,
	'without a directory of its own, the server has the installed models');

# A directory that is looked into anyway is looked into once
my $installed = $node->safe_psql('postgres',
	"SELECT regexp_replace(file, '/[^/]*\$', '') FROM bitnet_models WHERE name = 'default'");
$node->append_conf('postgresql.conf', "bitnet.model_directory = '$installed'\n");
$node->reload;
is($node->safe_psql('postgres', q{
	SELECT bitnet_unload('default') > 0;
	SELECT count(*) FROM bitnet_models WHERE name = 'default'}), "t\n1",
	'the directory of the installed models can be named');
$node->append_conf('postgresql.conf', "bitnet.model_directory = ''\n");

# With preloading, and with the model in main shared memory
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = '$ENV{BITNET_MODULE}'\nmin_dynamic_shared_memory = 64MB\n");
$node->restart;
is($node->safe_psql('postgres', 'SHOW bitnet.preload_models'), 'default', 'preloaded, preload_models is known');
ok($node->poll_query_until('postgres',
		"SELECT storage = 'main region' FROM bitnet_models WHERE name = 'default' AND state = 'loaded'"),
	'and works, in main shared memory where that has room');
like($node->safe_psql('postgres', "SELECT bitnet_count_tokens('Hello')"), qr/^\d+$/,
	'where the model answers as well');
is($node->safe_psql('postgres', "SELECT bitnet_unload('default') > 0; SELECT bitnet_load('default')"), "t\nt",
	'and can be unloaded and loaded');

# What is wrong with it
$node->append_conf('postgresql.conf', "bitnet.model_directory = 'not there'\n");
$node->reload;
ok($node->poll_query_until('postgres',
		"SELECT detail LIKE '%: No such file or directory' FROM bitnet_check() WHERE item = 'model directory' AND status = 'warning'"),
	'one that is not there is a warning of bitnet_check');

$node->stop;
done_testing();
