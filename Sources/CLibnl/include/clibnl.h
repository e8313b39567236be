/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What weir asks of rtnetlink, in plain structures. libnl's headers stay behind this one.
 *
 * Every function opens a socket in the calling thread's network namespace and closes it again. Zero or a count
 * on success, a negative errno otherwise. Lists are the caller's to release with free().
 */
#ifndef WEIR_CLIBNL_H
#define WEIR_CLIBNL_H

#include <stddef.h>
#include <stdint.h>

struct weir_nl_link {
	uint32_t ifindex;
	uint32_t flags;         /* IFF_* */
	uint32_t peer_ifindex;  /* IFLA_LINK; of a veth its peer. 0: none */
	int32_t peer_netns_id;  /* IFLA_LINK_NETNSID; -1: this namespace */
	uint32_t master;        /* bridge or bond that owns it; 0: none */
	char name[16];
	char kind[24];          /* "veth", "bridge" …; empty for a device of its own */
};
int weir_nl_links(struct weir_nl_link **links, size_t *count);

struct weir_nl_address {
	uint32_t ifindex;
	uint8_t length; /* 4 or 16 */
	uint8_t prefix_length;
	uint8_t bytes[16];
};
int weir_nl_addresses(struct weir_nl_address **addresses, size_t *count);

struct weir_nl_route {
	uint32_t ifindex;       /* 0: none, or several next hops */
	uint8_t prefix_length;  /* of the route that matched */
	uint8_t has_gateway;
	uint8_t is_unicast;
};
/* The route that a packet of this node to the address takes. ENETUNREACH and the like: none. */
int weir_nl_route_to(const uint8_t *bytes, size_t length, struct weir_nl_route *route);

/* Interfaces with a default route of either family. */
int weir_nl_default_route_interfaces(uint32_t **ifindexes, size_t *count);

/* This namespace's number for another one; -1: it has none. */
int weir_nl_namespace_id(int namespace_fd, int32_t *id);

/* 0 or 1: whether an interface has clsact, and whether a filter of anybody is on one of its hooks. */
int weir_nl_has_clsact(uint32_t ifindex);
int weir_nl_has_filters(uint32_t ifindex, int egress_hook);

struct weir_nl_filter {
	uint32_t priority;
	uint32_t handle;
	uint32_t program_id;    /* of kind "bpf"; else 0 */
	uint8_t direct_action;  /* its answer is the verdict */
	char kind[16];
	char name[64];          /* of a bpf filter, as whoever made it called it */
};
/* The filters on one hook of clsact, of anybody, in the order in which they run. */
int weir_nl_filters(uint32_t ifindex, int egress_hook, struct weir_nl_filter **filters, size_t *count);

/*
 * Runs body(context) on a thread of its own that has entered the namespace and ends afterwards: setns() is per
 * thread, and a thread that has moved must not do anything else.
 */
int weir_nl_in_namespace(int namespace_fd, void (*body)(void *), void *context);

/* Device and inode of a namespace file. */
int weir_nl_namespace_inode(const char *path, uint64_t *device, uint64_t *inode);

#endif
