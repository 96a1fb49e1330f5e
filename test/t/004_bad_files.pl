# Files that are no models: what the user is told, and that nothing is left.

use strict;
use warnings;

use BitnetTest;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('bad');
my $models = $node->basedir . '/models';
my $session = $node->background_psql('postgres', on_error_stop => 0,
	extra_params => [ '-v', 'VERBOSITY=verbose' ]);

sub write_file
{
	my ($name, $content) = @_;

	open my $fh, '>:raw', "$models/$name.gguf" or die "$name: $!";
	print $fh $content;
	close $fh;
}

sub error_of
{
	my ($query) = @_;
	my $error;

	$session->{stderr} = '';
	$session->query($query);
	$error = $session->{stderr};
	$session->{stderr} = '';
	return $error;
}

make_model("$models/good.gguf");
my $good = slurp_file("$models/good.gguf");

# Names
like(error_of("SELECT bitnet_load('no-such-model')"),
	qr/ERROR:  42704: model "no-such-model" does not exist\n.*DETAIL:  There is no file "no-such-model.gguf" in "\Q$models\E".*HINT:  .*bitnet_models/s,
	'unknown model');
for my $name ('', '.hidden', '../good', 'a/b', 'a b', "caf\x{c3}\x{a9}", 'x' x 64)
{
	like(error_of("SELECT bitnet_load('$name')"), qr/ERROR:  22023: invalid model name/,
		"a name that is none: '$name'");
}
like(error_of("SELECT bitnet_load('/srv/good.gguf')"), qr/HINT:  Put the file into "bitnet.model_directory", and give its name/,
	'a path is no name');
like(error_of("SET bitnet.model = '../good'"), qr/ERROR:  22023: invalid value for parameter "bitnet.model"/,
	'nor can the setting be such a name');

# Files
write_file('empty', '');
like(error_of("SELECT bitnet_load('empty')"), qr/ERROR:  XX001: could not load model file "\Q$models\E\/empty.gguf".*HINT:  The file is incomplete\./s,
	'empty file');
write_file('text', "Once upon a time there was a model, but not here.\n" x 10);
like(error_of("SELECT bitnet_load('text')"), qr/ERROR:  XX001: could not load model file.*DETAIL:  /s,
	'a file of another kind');
mkdir "$models/directory.gguf";
like(error_of("SELECT bitnet_load('directory')"), qr/ERROR:  42809: could not load model file.*DETAIL:  It is not a regular file\./s,
	'a directory');
my $socket = PostgreSQL::Test::Utils::tempdir_short() . '/s';
IO::Socket::UNIX->new(Local => $socket, Listen => 1) or die "no socket: $!";
symlink $socket, "$models/socket.gguf" or die $!;
like(error_of("SELECT bitnet_load('socket')"), qr/ERROR:  42809: could not load model file.*DETAIL:  It is not a regular file\./s,
	'a socket');
system_or_bail('mkfifo', "$models/pipe.gguf");
like(error_of("SELECT bitnet_load('pipe')"), qr/ERROR:  42809: could not load model file.*DETAIL:  It is not a regular file\./s,
	'a pipe');
write_file('secret', $good);
chmod 0, "$models/secret.gguf";
like(error_of("SELECT bitnet_load('secret')"), qr/ERROR:  42501: could not load model file.*DETAIL:  Permission denied\..*HINT:  The server's operating system user must/s,
	'a file that the server may not read');
chmod 0, $models;
like(error_of("SELECT bitnet_load('good')"), qr/ERROR:  42501: could not load model file "\Q$models\E\/good.gguf".*DETAIL:  Permission denied\..*HINT:  The server's operating system user must/s,
	'a directory that the server may not read');
chmod 0700, $models;
symlink 'nowhere', "$models/dangling.gguf";
like(error_of("SELECT bitnet_load('dangling')"), qr/ERROR:  42704: model "dangling" does not exist/,
	'a link to nothing');
symlink 'good.gguf', "$models/link.gguf";
is(error_of("SELECT bitnet_load('link')"), '', 'a link to a model is a model');
is(error_of("SELECT bitnet_unload('link')"), '', 'and can be unloaded');

# Cut anywhere: a few places here, all of them in the unit tests
my $whole = 0;
for my $part (1 .. 20)
{
	write_file('cut', substr($good, 0, int(length($good) * $part / 21)));
	my $error = error_of("SELECT bitnet_load('cut')");
	$whole++ unless $error =~ /ERROR:  (XX001|0A000): could not load model file.*DETAIL:  .*\./s;
	last if $whole;
}
is($whole, 0, 'a file that was cut is refused, wherever that was');

# The smallest there can be is whole
make_model("$models/tiny.gguf",
	qw(--layers 1 --hidden 2 --heads 1 --kv 1 --ffn 1 --vocab 300 --type f32));
is(error_of("SELECT bitnet_load('tiny'); SELECT bitnet_generate('x', 3, model => 'tiny')"), '',
	'a tiny model is a model');
is(error_of("SELECT bitnet_unload('tiny')"), '', 'which can be unloaded');

# Other users learn names of files but not where they are
$session->query_safe(q{CREATE ROLE reader; GRANT EXECUTE ON FUNCTION bitnet_load TO reader; SET ROLE reader});
unlike(error_of("SELECT bitnet_load('text')"), qr/\Q$models\E/, 'a path is not shown to everybody');
unlike(error_of("SELECT bitnet_load('absent')"), qr/\Q$models\E/, 'nor is a directory');
is($session->query_safe("SELECT count(file) FROM bitnet_models"), '0', 'nor in the view');
$session->query_safe(q{RESET ROLE; GRANT pg_read_server_files TO reader; SET ROLE reader});
like(error_of("SELECT bitnet_load('text')"), qr/\Q$models\E/, 'but to those who may read server files');
is($session->query_safe("SELECT count(file) > 0 FROM bitnet_models"), 't', 'and in the view');
like(error_of('SHOW bitnet.model_directory'), qr/ERROR:  42501/, 'the setting is for superusers');
$session->query_safe('RESET ROLE');

# Nothing is left, and nothing is harmed
is_deeply([ segments($node) ], [], 'no segment is left');
is($session->query_safe("SELECT count(*) FROM bitnet_models WHERE state = 'loaded'"), '0', 'and no model');
is($session->query_safe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'and no lock');
like($session->query_safe("SELECT bitnet_count_tokens('x', 'good')"), qr/^\d+$/, 'the same session goes on');
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'and so did the server');

$session->quit;
$node->stop;
done_testing();
