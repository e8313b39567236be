/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What weir asks of rtnetlink and of WireGuard, in plain structures. libnl's headers stay behind this one.
 *
 * Every function that asks opens a socket in the calling thread's network namespace and closes it again. Zero or a
 * count on success, a negative errno otherwise. Lists are the caller's to release with free().
 *
 * Changes are written as messages first (weir_nl_encode_…) and sent then, so that a test can look at them between.
 */
#ifndef WEIR_CLIBNL_H
#define WEIR_CLIBNL_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

/* Messages one behind the other, each with its header, in the order in which they are sent. Begins as all zeros. */
struct weir_nl_messages {
	uint8_t *bytes;
	size_t length, room;
};

/* Wipes and frees them. */
void weir_nl_release(struct weir_nl_messages *messages);

/* Sends one after the other (NETLINK_ROUTE, NETLINK_GENERIC) until the kernel refuses one; says how many it took. */
int weir_nl_send(int protocol, struct weir_nl_messages *messages, size_t *accepted);

struct weir_nl_link {
	uint32_t ifindex;
	uint32_t flags;         /* IFF_* */
	uint32_t hardware;      /* ARPHRD_* */
	uint32_t peer_ifindex;  /* IFLA_LINK; of a veth its peer. 0: none */
	int32_t peer_netns_id;  /* IFLA_LINK_NETNSID; -1: this namespace */
	uint32_t master;        /* bridge or bond that owns it; 0: none */
	uint32_t mtu;
	char name[16];
	char kind[24];          /* "veth", "bridge" …; empty for a device of its own */
};
int weir_nl_links(struct weir_nl_link **links, size_t *count);
int weir_nl_encode_add_link(const char *name, const char *kind, struct weir_nl_messages *messages);
int weir_nl_encode_delete_link(uint32_t ifindex, struct weir_nl_messages *messages);
/* `up`: 1, 0, or -1 for as it is; an MTU of 0: as it is. */
int weir_nl_encode_set_link(uint32_t ifindex, int up, uint32_t mtu, struct weir_nl_messages *messages);

struct weir_nl_address {
	uint32_t ifindex;
	uint8_t length; /* 4 or 16 */
	uint8_t prefix_length;
	uint8_t bytes[16];
};
int weir_nl_addresses(struct weir_nl_address **addresses, size_t *count);
int weir_nl_encode_address(int add, const struct weir_nl_address *address, struct weir_nl_messages *messages);

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

struct weir_nl_table_route {
	uint8_t length;         /* of the address: 4 or 16 */
	uint8_t prefix_length;
	uint8_t kind;           /* RTN_* */
	uint8_t protocol;       /* RTPROT_*: who made it */
	uint8_t is_direct;      /* no gateway, no second next hop, no source, no type of service */
	uint8_t bytes[16];
	uint32_t table;
	uint32_t metric;
	uint32_t ifindex;       /* 0: none */
	uint32_t mtu;           /* 0: none */
};
/* Of the family with addresses of that length. */
int weir_nl_table_routes(int address_length, uint32_t table, struct weir_nl_table_route **routes, size_t *count);
enum weir_nl_route_change { WEIR_NL_ROUTE_ADD, WEIR_NL_ROUTE_REPLACE, WEIR_NL_ROUTE_DELETE };
int weir_nl_encode_route(enum weir_nl_route_change change, const struct weir_nl_table_route *route,
			 struct weir_nl_messages *messages);

struct weir_nl_rule {
	uint8_t length;         /* of the family's addresses: 4 or 16 */
	uint8_t protocol;       /* RTPROT_*: who made it */
	uint8_t is_inverted;
	uint8_t is_plain;       /* leads to its table, and nothing but the mark narrows it */
	uint32_t preference;
	uint32_t table;
	uint32_t mark, mask;    /* a mask of 0: whatever the mark */
};
int weir_nl_rules(int address_length, struct weir_nl_rule **rules, size_t *count);
int weir_nl_encode_rule(int add, const struct weir_nl_rule *rule, struct weir_nl_messages *messages);

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

/* ---- WireGuard devices, by generic netlink ---- */

#define WEIR_WG_KEY_LENGTH 32

struct weir_wg_allowed_ip {
	uint8_t length; /* 4 or 16 */
	uint8_t prefix_length;
	uint8_t bytes[16];
};

struct weir_wg_endpoint {
	uint8_t length; /* 4 or 16; 0: none */
	uint16_t port;
	uint8_t bytes[16];
};

struct weir_wg_peer {
	uint8_t key[WEIR_WG_KEY_LENGTH];
	uint8_t has_preshared_key;
	struct weir_wg_endpoint endpoint;
	uint16_t keepalive;
	uint64_t last_handshake;        /* seconds since 1970; 0: never */
	uint64_t received, sent;
	size_t first_allowed_ip, allowed_ip_count;
};

struct weir_wg_device {
	uint32_t ifindex;
	uint32_t mark;
	uint16_t listen_port;
	uint8_t has_public_key;
	uint8_t public_key[WEIR_WG_KEY_LENGTH];
	struct weir_wg_peer *peers;
	size_t peer_count;
	struct weir_wg_allowed_ip *allowed_ips; /* of all peers */
	size_t allowed_ip_count;
};

/* The number under which the kernel knows WireGuard; ENOENT: it does not. */
int weir_wg_family(uint16_t *family);
/* What the messages say, in one device; its arrays are the caller's to free. EBADMSG: no such messages. */
int weir_wg_decode(uint8_t *bytes, size_t length, struct weir_wg_device *device);
int weir_wg_read(uint16_t family, const char *name, struct weir_wg_device *device);
int weir_wg_encode_read(uint16_t family, const char *name, struct weir_nl_messages *messages);

struct weir_wg_peer_change {
	uint8_t key[WEIR_WG_KEY_LENGTH];
	uint32_t flags;                 /* WEIR_WG_* */
	struct weir_wg_endpoint endpoint;
	uint8_t has_keepalive;
	uint16_t keepalive;
	size_t first_allowed_ip, allowed_ip_count;
};
enum { WEIR_WG_REMOVE = 1, WEIR_WG_REPLACE_ALLOWED_IPS = 2, WEIR_WG_UPDATE_ONLY = 4 };

struct weir_wg_change {
	uint8_t has_listen_port, has_mark;
	uint16_t listen_port;
	uint32_t mark;
	size_t peer_count;
};
/* As many messages as it takes: none is larger than a page. */
int weir_wg_encode_change(uint16_t family, const char *name, const struct weir_wg_change *change,
			  const struct weir_wg_peer_change *peers, const struct weir_wg_allowed_ip *allowed_ips,
			  struct weir_nl_messages *messages);
int weir_wg_encode_private_key(uint16_t family, const char *name, const uint8_t *key, struct weir_nl_messages *messages);
/* `flags`: WEIR_WG_UPDATE_ONLY, or 0 for a peer that may have to be made. */
int weir_wg_encode_preshared_key(uint16_t family, const char *name, const uint8_t *peer, uint32_t flags,
				 const uint8_t *key, struct weir_nl_messages *messages);

/* ---- threads and namespaces ---- */

/*
 * Runs body(context) on a thread of its own that has entered the namespace and ends afterwards: setns() is per
 * thread, and a thread that has moved must not do anything else.
 */
int weir_nl_in_namespace(int namespace_fd, void (*body)(void *), void *context);

/* The process that listens at the other end of a connected unix socket. */
int weir_nl_listener(int socket, int32_t *process);

/* Device and inode of a namespace file. */
int weir_nl_namespace_inode(const char *path, uint64_t *device, uint64_t *inode);

#endif
