/*-------------------------------------------------------------------------
 *
 * loader.c
 *	  From the name of a model to its image in dynamic shared memory.
 *
 * src/pg/loader.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_iovec.h"
#include "storage/dsm_impl.h"
#include "storage/fd.h"
#include "storage/procsignal.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "bitnet.h"
#include "client.h"
#include "compat.h"
#include "loader.h"

#include "../core/readahead.h"
#include "../../kernels/kernels.h"

/* The most that is asked of the system in one call */
#define READ_CHUNK ((size_t) 4 * 1024 * 1024)

/* How much of the file may stay in the page cache behind the reading */
#define CACHE_WINDOW ((uint64) 64 * 1024 * 1024)

/*
 * A segment that is part of main shared memory begins anywhere; the image is
 * moved up to a page.
 */
#define IMAGE_ALIGN 4096

/* Progress is told after this many milliseconds, and then not more often */
#define PROGRESS_AFTER 2000
#define PROGRESS_EVERY 5000

typedef struct FileReader
{
	int			fd;
	bn_readahead *ahead;		/* or NULL */
	uint64		dropped;		/* the page cache has nothing before this */
} FileReader;

typedef struct LoadProgress
{
	const char *name;
	TimestampTz started;
	TimestampTz reported;
	MemoryContext context;
	bool		failed;			/* with an error in a callback, to be thrown later */
	ErrorData  *error;			/* that error; NULL: there was no memory for it */
} LoadProgress;

static uint32 wait_event = 0;

/* An error of the system, in its own words; they may be in any language. */
static bn_status
file_error(bn_error *err, uint64 offset, int error_number)
{
	bn_fail(err, BN_ERR_IO, offset, "");
	if (err)
	{
		err->sys_errno = error_number;
		strlcpy(err->detail, strerror(error_number), sizeof(err->detail));
	}
	return BN_ERR_IO;
}

/*
 * bn_source.read: fills buf from the file.
 */
static bn_status
read_file(void *ctx, uint64_t offset, void *buf, size_t len, bn_error *err)
{
	FileReader *reader = ctx;

	while (len > 0)
	{
		ssize_t		n;

		pgstat_report_wait_start(wait_event);
		n = reader->ahead ? (ssize_t) bn_readahead_take(reader->ahead, offset, buf, len) : 0;
		if (n == 0)
			n = pg_pread(reader->fd, buf, Min(len, READ_CHUNK), (off_t) offset);
		pgstat_report_wait_end();

		if (n < 0)
		{
			if (errno == EINTR)
				continue;
			return file_error(err, offset, errno);
		}
		if (n == 0)
			return bn_fail(err, BN_ERR_TRUNCATED, offset,
						   "the file became shorter while it was read");
		buf = (char *) buf + n;
		offset += (uint64_t) n;
		len -= (size_t) n;
	}

	/* Or the server's memory would hold the model twice for a while */
#if defined(USE_POSIX_FADVISE) && defined(POSIX_FADV_DONTNEED)
	if (offset > reader->dropped + CACHE_WINDOW)
	{
		(void) posix_fadvise(reader->fd, (off_t) reader->dropped,
							 (off_t) (offset - reader->dropped), POSIX_FADV_DONTNEED);
		reader->dropped = offset;
	}
#endif
	return BN_OK;
}

/*
 * bn_read_fn: runs in a thread, where nothing of PostgreSQL may be called.
 * What goes wrong here, read_file meets again.
 */
static ptrdiff_t
read_in_thread(void *file, uint64_t offset, void *buf, size_t len)
{
	return pread(((FileReader *) file)->fd, buf, len, (off_t) offset);
}

/*
 * In a PG_CATCH block: keeps the error.  Callbacks of the core must return;
 * should_stop sees it next.
 */
static void
keep_error(LoadProgress *progress)
{
	progress->failed = true;
	MemoryContextSwitchTo(progress->context);
	PG_TRY();
	{
		progress->error = CopyErrorData();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(progress->context);
	}
	PG_END_TRY();
	FlushErrorState();
}

/*
 * bn_hooks.progress: tells about a load that takes long, the client or, in the
 * preload worker, the log.  Interrupts are held because a message would serve
 * them; an error may be one of a hook of the log.  Nothing is sent to a client
 * that does not read: waiting for it, the process could not be ended.
 */
static void
report_progress(void *ctx, uint64_t done, uint64_t total)
{
	LoadProgress *progress = ctx;
	TimestampTz now = GetCurrentTimestamp();

	if (total == 0 ||
		!TimestampDifferenceExceeds(progress->started, now, PROGRESS_AFTER) ||
		(progress->reported != 0 &&
		 !TimestampDifferenceExceeds(progress->reported, now, PROGRESS_EVERY)) ||
		!BitnetClientReads())
		return;
	progress->reported = now;
	PG_TRY();
	{
		HOLD_INTERRUPTS();
		ereport(MyBackendType == B_BG_WORKER ? LOG : NOTICE,
				(errmsg("bitnet: loading model \"%s\": %d %%", progress->name,
						(int) ((double) done / (double) total * 100))));
		RESUME_INTERRUPTS();	/* an error does that by itself */
	}
	PG_CATCH();
	{
		keep_error(progress);
	}
	PG_END_TRY();
}

/* bn_hooks.should_stop.  DROP DATABASE and the like wait until all processes have served their barrier. */
static bool
should_stop(void *ctx)
{
	LoadProgress *progress = ctx;
	bool		held = InterruptHoldoffCount > 0 || CritSectionCount > 0;

	if (ProcSignalBarrierPending && !progress->failed && !held)
	{
		PG_TRY();
		{
			ProcessProcSignalBarrier();
		}
		PG_CATCH();
		{
			keep_error(progress);
		}
		PG_END_TRY();
	}
	return progress->failed || bitnet_hooks.should_stop(NULL) ||
		(!held && compat_conflict_pending());
}

bool
BitnetSegmentIsMain(dsm_handle handle)
{
	/* dsm.c gives odd handles to segments in main shared memory */
	return (handle & 1) != 0;
}

void
BitnetProtectSegment(dsm_segment *segment)
{
	/*
	 * Then a stray store ends the process that made it, instead of silently
	 * changing everybody's answers.  In main shared memory the pages at both
	 * ends belong to others as well, and stay as they are.
	 */
	if (!BitnetSegmentIsMain(dsm_segment_handle(segment)))
		(void) mprotect(dsm_segment_address(segment), dsm_segment_map_length(segment),
						PROT_READ);
}

void
BitnetMapSegment(dsm_segment *segment)
{
#ifdef MADV_POPULATE_READ
	if (!BitnetSegmentIsMain(dsm_segment_handle(segment)))
		(void) madvise(dsm_segment_address(segment), dsm_segment_map_length(segment),
					   MADV_POPULATE_READ);
#endif
}

/*
 * A new segment of at least that size.  Where shared memory is too small,
 * which is the common trouble in containers, the error says how to enlarge it.
 */
static dsm_segment *
create_segment(const char *name, Size size)
{
	MemoryContext context = CurrentMemoryContext;
	dsm_segment *volatile segment = NULL;
	unsigned long long megabytes = (size + 1024 * 1024 - 1) / (1024 * 1024);

	PG_TRY();
	{
		segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_INSUFFICIENT_RESOURCES)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (dynamic_shared_memory_type == DSM_IMPL_POSIX)
			ereport(ERROR,
					(errcode(error->sqlerrcode),
					 errmsg("not enough shared memory for model \"%s\"", name),
					 errdetail("%llu MB are needed: %s.", megabytes, error->message),
					 errhint("Enlarge /dev/shm (docker run --shm-size), or set min_dynamic_shared_memory to at least %llu MB and restart the server.",
							 megabytes + 16)));
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("not enough shared memory for model \"%s\"", name),
				 errdetail("%llu MB are needed: %s.", megabytes, error->message),
				 errhint("Set min_dynamic_shared_memory to at least %llu MB and restart the server.",
						 megabytes + 16)));
	}
	PG_END_TRY();

	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("not enough shared memory for model \"%s\"", name),
				 errdetail("The server has too many dynamic shared memory segments."),
				 errhint("Increase max_connections, or try again later.")));
	return segment;
}

/*
 * The part of reading that needs an open file.
 */
static bn_status
build_image(const char *name, const bn_source *source, BitnetImage *image, bn_error *err)
{
	FileReader *reader = source->ctx;
	LoadProgress progress = {.name = name, .started = GetCurrentTimestamp(), .context = CurrentMemoryContext};
	bn_hooks	hooks = {should_stop, report_progress, &progress};
	bn_image_options options = {BN_SCREEN_AUTO, BitnetKernels(bitnet_kernel)->prefers_five};
	bn_gguf		gguf;
	size_t		scratch_size;
	void	   *scratch;
	void	   *room;
	char	   *address;
	bn_status	status;

	BN_TRY(bn_gguf_scratch_size(source, &scratch_size, err));
	scratch = MemoryContextAllocExtended(CurrentMemoryContext, scratch_size, MCXT_ALLOC_HUGE);
	BN_TRY(bn_gguf_open(&gguf, source, scratch, scratch_size, &hooks, err));
	BN_TRY(bn_image_size(&gguf, options, &image->size, err));

	image->segment = create_segment(name, add_size(image->size, IMAGE_ALIGN));
	address = dsm_segment_address(image->segment);
	image->offset = TYPEALIGN(IMAGE_ALIGN, (uintptr_t) address) - (uintptr_t) address;

	scratch = MemoryContextAllocExtended(CurrentMemoryContext, bn_image_scratch_size(),
										 MCXT_ALLOC_HUGE);
	room = palloc(bn_readahead_size());

	/* From here on nothing raises an error, so the threads are always stopped */
	if (BitnetMayHaveThreads())
		reader->ahead = bn_readahead_start(room, read_in_thread, reader,
										   gguf.tensors[gguf.tensor_order[0]].offset, source->size,
										   address + image->offset, image->size);
	status = bn_image_build(&gguf, options, address + image->offset, image->size,
							scratch, &hooks, err);
	if (reader->ahead)
		bn_readahead_stop(reader->ahead);
	reader->ahead = NULL;
	if (progress.error)
		ReThrowError(progress.error);
	if (progress.failed)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("An error while model \"%s\" was loaded could not be kept.", name)));
	if (status != BN_OK)
	{
		dsm_detach(image->segment);
		image->segment = NULL;
		return status;
	}
	BitnetProtectSegment(image->segment);
	return BN_OK;
}

bn_status
BitnetReadModelFile(const char *name, const char *path, BitnetImage *image, bn_error *err)
{
	FileReader	reader = {-1, NULL, 0};
	bn_source	source = {read_file, &reader, 0};
	struct stat st;
	bool		no_file;
	MemoryContext context;
	MemoryContext old;
	bn_status	status;

	memset(image, 0, sizeof(*image));
	wait_event = compat_wait_event(&wait_event, "BitnetLoad");	/* may raise an error, which callbacks must not */

	/* Not to wait for the other end, should it be a pipe */
	reader.fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	no_file = reader.fd < 0 && (errno == ENXIO || errno == ENODEV || errno == EOPNOTSUPP);	/* a socket, a device */
	if (!no_file && (reader.fd < 0 || fstat(reader.fd, &st) < 0))
	{
		status = file_error(err, BN_NO_OFFSET, errno);
		if (reader.fd >= 0)
			CloseTransientFile(reader.fd);
		return status;
	}
	if (no_file || !S_ISREG(st.st_mode))
	{
		if (reader.fd >= 0)
			CloseTransientFile(reader.fd);
		status = bn_fail(err, BN_ERR_IO, BN_NO_OFFSET, "it is not a regular file");
		err->sys_errno = EISDIR;	/* for the SQLSTATE of a wrong kind of object */
		return status;
	}
	BitnetIdentifyFile(&image->file, &st);
	source.size = (uint64_t) st.st_size;
#if defined(USE_POSIX_FADVISE) && defined(POSIX_FADV_SEQUENTIAL)
	(void) posix_fadvise(reader.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif

	context = AllocSetContextCreate(CurrentMemoryContext, "bitnet load",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	status = build_image(name, &source, image, err);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	CloseTransientFile(reader.fd);
	return status;
}
