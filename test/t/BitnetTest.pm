# What the TAP tests share: model files, servers with the extension, looking at
# what a server has in shared memory, and queries that last.
package BitnetTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use File::Copy;
use List::Util 'max';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(make_model replace_model start_server own_install run_script segments open_session backend_pid
  start_query end_of_query cancel_query wait_until in_time $slowness);

# How many times longer than usual all may take, by PG_TEST_TIMEOUT_DEFAULT
our $slowness = max(1, $PostgreSQL::Test::Utils::timeout_default / 180);

# Writes a random model; returns the path.  A small one unless options say
# otherwise.
sub make_model
{
	my ($path, @options) = @_;

	system_or_bail($ENV{BITNET_MAKE_MODEL}, qw(--layers 2 --hidden 128 --ffn 256 --heads 2
		  --kv 1 --vocab 600 --ctx 512), @options, $path);
	return $path;
}

# Puts another file in the place of a model, as one should: by renaming.
sub replace_model
{
	my ($path, @options) = @_;

	make_model("$path.new", @options);
	rename("$path.new", $path) or die "could not rename: $!";
}

# A running server with the extension.  Its segments are files in its own data
# directory, so that tests can tell whether any is left over.
sub start_server
{
	my ($name, %args) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	mkdir $node->basedir . '/models';
	$node->append_conf('postgresql.conf',
			"bitnet.model_directory = '" . $node->basedir . "/models'\n"
		  . "dynamic_shared_memory_type = mmap\n"
		  . "min_dynamic_shared_memory = 0\n"
		  . "bitnet.kv_cache_size = 64MB\n"
		  . ($args{conf} // ''));
	$args{before_start}->($node) if $args{before_start};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION bitnet');
	return $node;
}

# Gives a server that is not yet started files of the extension that the test may
# replace.  Returns the library's path and that of the folder of the scripts.
sub own_install
{
	my ($node) = @_;
	my $install = $node->basedir . '/install';
	my $conf = slurp_file($ENV{TEMP_CONFIG});
	my ($share) = run_command([ 'pg_config', '--sharedir' ]);

	system_or_bail('cp', '-r', $ENV{BITNET_INSTALL}, $install);
	$conf =~ s/\Q$ENV{BITNET_INSTALL}\E/$install/g;
	$node->append_conf('postgresql.conf', $conf);
	return ($install . substr("$ENV{BITNET_MODULE}.so", length $ENV{BITNET_INSTALL}),
		"$install$share/extension");
}

# What psql prints for a script of this directory, in which nothing may go wrong;
# its variables named are set.
sub run_script
{
	my ($node, $database, $script, @variables) = @_;
	my ($out, $err) = run_command([ 'psql', '-XqAt', '-d', $node->connstr($database),
			(map { ('-v', "$_=1") } 'ON_ERROR_STOP', @variables), '-f', dirname(__FILE__) . "/$script" ]);

	is($err, '', "$script in " . $node->name);
	return $out;
}

# Sizes of the images that the server has in memory, sorted.  What is smaller
# is PostgreSQL's own, or an image too small to be told from it.
sub segments
{
	my ($node) = @_;
	my @sizes = sort { $a <=> $b } grep { $_ > 1024 * 1024 }
	  map { -s $_ } glob $node->data_dir . '/pg_dynshmem/mmap.*';

	return @sizes;
}

# A session whose time limit is for each query, not for all that it does.
sub open_session
{
	my ($node, $database, @psql_options) = @_;
	my $session = $node->background_psql($database, on_error_stop => 0, extra_params => \@psql_options);

	$session->set_query_timer_restart;
	return $session;
}

sub backend_pid
{
	my ($session) = @_;
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$pid =~ s/\s//g;
	return $pid;
}

# Sends a query that lasts; what it says comes with end_of_query.
sub start_query
{
	my ($session, $query) = @_;

	my $output = $session->query_until(qr/started\n/, "\\echo started\n$query;\n\\echo finished\n");

	# It may have said something by then
	$session->{stdout} = $output =~ s/.*?started\n//sr;
	return;
}

# Waits for the end of that query and returns its output; its errors are in the
# session's {stderr}.
sub end_of_query
{
	my ($session) = @_;
	my $output = $session->query_until(qr/finished/, '');

	$output =~ s/\s*finished\s*$//;
	return $output;
}

# Cancels a query, begun with start_query after $wait microseconds of work, and
# returns how long it went on, in seconds.
sub cancel_query
{
	my ($node, $session, $pid, $query, $wait, $name) = @_;

	start_query($session, $query);
	die "$query: did not start"
	  unless wait_until(sub {
		$node->safe_psql('postgres',
			"SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid") eq 't';
	});
	usleep($wait);
	my $start = time;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	end_of_query($session);
	my $took = time - $start;
	like($session->{stderr}, qr/canceling statement due to user request/, $name);
	$session->{stderr} = '';
	return $took;
}

# Waits until the code returns true; false after the usual time limit.
sub wait_until
{
	my ($code) = @_;
	my $limit = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $limit)
	{
		return 1 if $code->();
		usleep(10_000);
	}
	return 0;
}

# Checks that something takes less than a limit, in seconds; the code does it and
# returns how long it took.  It gets two more tries, for a virtual machine that
# stands still for a second.
sub in_time
{
	my ($code, $limit, $name) = @_;
	my @took;

	do { push @took, $code->() } while ($took[-1] >= $limit && @took < 3);
	return cmp_ok($took[-1], '<', $limit,
		sprintf('%s (%s ms)', $name, join(', then ', map { sprintf('%.0f', $_ * 1000) } @took)));
}

1;
