/*-------------------------------------------------------------------------
 *
 * files.c
 *	  Model files: their names, where they are, and what users learn of them.
 *
 * src/pg/files.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "catalog/pg_authid.h"
#include "common/string.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "bitnet.h"
#include "files.h"

/* ---- names, and where files are ---- */

const char *
BitnetModelNameComplaint(const char *name)
{
	if (name[0] == '\0')
		return "A model name must not be empty.";
	if (strlen(name) >= NAMEDATALEN)
		return "A model name has at most 63 bytes.";
	if (name[0] == '.')
		return "A model name must not begin with a dot.";
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(name))
		return "A model name consists of letters, digits, dots, hyphens and underscores.";
	return NULL;
}

void
BitnetCheckModelName(const char *name)
{
	const char *complaint = BitnetModelNameComplaint(name);

	if (complaint)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%.*s\"",
						pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1), name),
				 errdetail("%s", complaint),
				 strchr(name, '/') == NULL ? 0 :
				 errhint("Put the file into \"bitnet.model_directory\", and give its name without the directory and \".gguf\".")));
}

/* Appends a directory, which must be palloc'd, unless it is there already. */
static List *
add_directory(List *directories, char *directory)
{
	ListCell   *cell;

	foreach(cell, directories)
	{
		if (strcmp(lfirst(cell), directory) == 0)
			return directories;
	}
	return lappend(directories, directory);
}

/* Appends the directory "bitnet" of a share directory. */
static List *
add_share_directory(List *directories, const char *prefix, const char *share)
{
	return add_directory(directories, psprintf("%s%s/bitnet", prefix, share));
}

List *
BitnetModelDirectories(void)
{
	List	   *directories = NIL;
	char		share[MAXPGPATH];
	const char *setting;

	if (bitnet_model_directory && bitnet_model_directory[0] != '\0')
		directories = add_directory(directories, pstrdup(bitnet_model_directory));

	get_share_path(my_exec_path, share);

	/*
	 * An extension that is not installed into the system has its files
	 * elsewhere: below extension_destdir in Debian's builds, beside a member
	 * of extension_control_path from version 18 on.
	 */
	setting = GetConfigOption("extension_destdir", true, false);
	if (setting && setting[0] != '\0')
		directories = add_share_directory(directories, setting, share);

	setting = GetConfigOption("extension_control_path", true, false);
	if (setting && setting[0] != '\0')
	{
		char	   *copy = pstrdup(setting);
		char	   *save = NULL;

		for (char *part = strtok_r(copy, ":", &save); part; part = strtok_r(NULL, ":", &save))
		{
			if (part[0] == '/')
				directories = add_share_directory(directories, "", part);
		}
	}
	return add_share_directory(directories, "", share);
}

void
BitnetIdentifyFile(BitnetFileIdentity *file, const struct stat *st)
{
	memset(file, 0, sizeof(*file));
	file->device = (uint64) st->st_dev;
	file->inode = (uint64) st->st_ino;
	file->size = (int64) st->st_size;
#ifdef __APPLE__
	file->modified = (int64) st->st_mtimespec.tv_sec * 1000000000 + st->st_mtimespec.tv_nsec;
#else
	file->modified = (int64) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
#endif
}

bool
BitnetSameFile(const BitnetFileIdentity *a, const BitnetFileIdentity *b)
{
	return a->device == b->device && a->inode == b->inode &&
		a->size == b->size && a->modified == b->modified;
}

/* Looks for a model's file in a directory; path is MAXPGPATH bytes.  Where there is none, errno says why. */
static bool
stat_model_file(const char *directory, const char *name, char *path, struct stat *st)
{
	if (snprintf(path, MAXPGPATH, "%s/%s.gguf", directory, name) >= MAXPGPATH)
	{
		errno = ENOENT;
		return false;
	}
	return stat(path, st) == 0;
}

bool
BitnetFindModelFile(const char *name, char *path, BitnetFileIdentity *file)
{
	List	   *directories = BitnetModelDirectories();
	ListCell   *cell;
	bool		found = false;

	foreach(cell, directories)
	{
		struct stat st;

		if (!stat_model_file(lfirst(cell), name, path, &st))
			continue;
		BitnetIdentifyFile(file, &st);
		found = true;
		break;
	}
	list_free_deep(directories);
	return found;
}

/* ---- what users learn ---- */

bool
BitnetMaySeePaths(void)
{
	/* A background worker without database writes to the log only */
	if (!OidIsValid(MyDatabaseId))
		return true;
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES);
}

char *
BitnetShownPath(const char *path)
{
	const char *slash = strrchr(path, '/');

	return pstrdup(BitnetMaySeePaths() || slash == NULL ? path : slash + 1);
}

/* A file that the server may not look for is not one that does not exist. */
static void
check_access(const char *directory, const char *name)
{
	char		path[MAXPGPATH];
	struct stat st;

	if (!stat_model_file(directory, name, path, &st) && errno != ENOENT && errno != ENOTDIR)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not load model file \"%s\"", BitnetShownPath(path)),
				 errdetail("%m."),
				 errhint("The server's operating system user must be able to read the file and its directories.")));
}

void
BitnetReportUnknownModel(const char *name)
{
	const char *extension = ".gguf";
	size_t		length = strlen(name);
	bool		is_file_name = length > strlen(extension) && pg_str_endswith(name, extension);
	StringInfoData where;
	List	   *directories = BitnetModelDirectories();
	ListCell   *cell;

	foreach(cell, directories)
		check_access(lfirst(cell), name);

	initStringInfo(&where);
	if (BitnetMaySeePaths())
	{
		foreach(cell, directories)
			appendStringInfo(&where, "%s\"%s\"", where.len == 0 ? "" : ", ",
							 (char *) lfirst(cell));
	}
	else
		appendStringInfoString(&where, "the server's model directories");

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model \"%s\" does not exist", name),
			 errdetail("There is no file \"%s.gguf\" in %s.", name, where.data),
			 is_file_name ? errhint("Leave out \"%s\".", extension) :
			 errhint("SELECT name FROM bitnet_models lists the models that can be used.")));
}

/* What to do about the common troubles with files */
static void
add_file_hint(bn_error *err)
{
	const char *hint = NULL;

	if (err->code == BN_ERR_TRUNCATED)
		hint = "The file is incomplete.  Download it again and compare its size.";
	else if (err->code == BN_ERR_IO && (err->sys_errno == EACCES || err->sys_errno == EPERM))
		hint = "The server's operating system user must be able to read it.";
	if (hint && err->hint[0] == '\0')
		strlcpy(err->hint, hint, sizeof(err->hint));
}

/*
 * What is in a file is not for everybody: an error that quotes it, or tells a
 * number from it, goes to the server log, and the user learns of what kind it
 * is and where.  Errors of the system say nothing of that sort.
 */
static void
hide_contents(const char *path, bn_error *err)
{
	const char *detail;

	if (BitnetMaySeePaths())
		return;
	switch (err->code)
	{
		case BN_ERR_TRUNCATED:
			detail = "the file ends too early";
			break;
		case BN_ERR_FORMAT:
			detail = "the file is no model file, or damaged";
			break;
		case BN_ERR_UNSUPPORTED:
			detail = "the file has something that is not supported";
			break;
		case BN_ERR_LIMIT:
			detail = "the file has something that is larger than the limit";
			break;
		default:
			return;
	}

	/* Not LOG: a user may have that sent to the client */
	ereport(LOG_SERVER_ONLY,
			(errmsg("bitnet: could not load model file \"%s\": %s", path, err->detail)));
	strlcpy(err->detail, detail, sizeof(err->detail));
	if (err->hint[0] == '\0')
		strlcpy(err->hint, "The server log, and members of pg_read_server_files, get more details.",
				sizeof(err->hint));
}

void
BitnetExplainFileError(const char *path, bn_error *err)
{
	add_file_hint(err);
	hide_contents(path, err);
}
