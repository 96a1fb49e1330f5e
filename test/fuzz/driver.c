/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  Replays a fuzz corpus with compilers that have no fuzzer.
 *
 * Every argument is a file, or a directory whose files are taken in the order
 * of their names.  A crash is the failure; a file that runs through is ok.
 *
 * test/fuzz/driver.c
 *
 *-------------------------------------------------------------------------
 */
#define _DEFAULT_SOURCE			/* scandir */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz.h"

static int	n_run;
static int	n_failed;

static void
report(int failed, const char *path)
{
	printf("%sok %d - %s\n", failed ? "not " : "", ++n_run, path);
	fflush(stdout);
	n_failed += failed;
}

static void
run_file(const char *path, size_t size)
{
	FILE	   *file = fopen(path, "rb");
	uint8_t    *data = malloc(size > 0 ? size : 1);
	int			failed = !file || !data || fread(data, 1, size, file) != size;

	if (file)
		fclose(file);
	if (!failed)
		LLVMFuzzerTestOneInput(data, size);
	free(data);
	report(failed, path);
}

static void
run_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		report(1, path);
	else if (S_ISDIR(st.st_mode))
	{
		struct dirent **entries;
		int			n = scandir(path, &entries, NULL, alphasort);
		int			i;

		for (i = 0; i < n; i++)
		{
			char		name[4096];

			if (entries[i]->d_name[0] != '.' &&
				snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name) < (int) sizeof(name))
				run_path(name);
			free(entries[i]);
		}
		if (n >= 0)
			free(entries);
	}
	else
		run_file(path, (size_t) st.st_size);
}

int
main(int argc, char **argv)
{
	int			i;

	for (i = 1; i < argc; i++)
		run_path(argv[i]);
	if (n_run == 0)
		printf("ok %d # skip no inputs\n", ++n_run);
	printf("1..%d\n", n_run);
	return n_failed > 0 ? 1 : 0;
}
