/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What must be known of the connection to the client.
 *
 * src/pg/client.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef BITNET_CLIENT_H
#define BITNET_CLIENT_H

/*
 * Is there room on the way to the client for a short message?  Otherwise sending
 * one would wait until the client reads.  True if there is no client, but false
 * in the worker of a parallel query.
 */
extern bool BitnetClientReads(void);

#endif							/* BITNET_CLIENT_H */
