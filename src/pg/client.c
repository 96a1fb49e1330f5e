/*-------------------------------------------------------------------------
 *
 * client.c
 *	  What must be known of the connection to the client.
 *
 * src/pg/client.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>

/*
 * Only the first member of struct Port is used here.  Those that follow would
 * want headers of Kerberos and TLS libraries, which a server's own headers need
 * not come with.
 */
#undef ENABLE_GSS
#undef USE_OPENSSL
#include "access/parallel.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"

#include "client.h"

bool
BitnetClientReads(void)
{
	struct pollfd pfd = {.events = POLLOUT};

	/* What a worker says waits until its leader reads, which may be waiting for the client. */
	if (MyProcPort == NULL)
		return !IsParallelWorker();
	pfd.fd = MyProcPort->sock;
	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT) != 0;
}
