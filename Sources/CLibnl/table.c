/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of one table, and the rules that lead to tables. */
#include "internal.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static int family_of(size_t length) { return length == 4 ? AF_INET : AF_INET6; }

struct table_search {
	struct list list;
	uint32_t table;
	unsigned char family;
};

static uint32_t number(struct nlattr *attribute) { return attribute && nla_len(attribute) >= 4 ? nla_get_u32(attribute) : 0; }

/* The list is the first member of the search. */
static int parse_table_route(struct nlmsghdr *header, void *context)
{
	struct table_search *search = context;
	struct rtmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	struct nlattr *table = nlmsg_find_attr(header, sizeof(*message), RTA_TABLE);
	/* A kernel without a family answers with all it has. */
	if (message->rtm_family != search->family || (table ? number(table) : message->rtm_table) != search->table)
		return 0;
	struct nlattr *destination = nlmsg_find_attr(header, sizeof(*message), RTA_DST);
	struct nlattr *metrics = nlmsg_find_attr(header, sizeof(*message), RTA_METRICS);
	struct weir_nl_table_route *out = weir_nl_append(&search->list);
	if (!out)
		return search->list.error;
	out->length = message->rtm_family == AF_INET ? 4 : 16;
	out->prefix_length = message->rtm_dst_len;
	out->table = search->table;
	out->kind = message->rtm_type;
	out->protocol = message->rtm_protocol;
	out->metric = number(nlmsg_find_attr(header, sizeof(*message), RTA_PRIORITY));
	if (out->prefix_length > out->length * 8 || (destination && nla_len(destination) != out->length))
		return -EBADMSG;
	if (destination)
		memcpy(out->bytes, nla_data(destination), out->length);
	if (metrics)
		out->mtu = number(nla_find(nla_data(metrics), nla_len(metrics), RTAX_MTU));
	out->is_direct = message->rtm_src_len == 0 && message->rtm_tos == 0 &&
			 !nlmsg_find_attr(header, sizeof(*message), RTA_GATEWAY) &&
			 !nlmsg_find_attr(header, sizeof(*message), RTA_VIA) &&
			 !nlmsg_find_attr(header, sizeof(*message), RTA_MULTIPATH) &&
			 !nlmsg_find_attr(header, sizeof(*message), RTA_ENCAP);
	/* The kernel says lo for an unreachable route of IPv6. */
	if (message->rtm_type == RTN_UNICAST)
		out->ifindex = number(nlmsg_find_attr(header, sizeof(*message), RTA_OIF));
	return 0;
}

int weir_nl_table_routes(int address_length, uint32_t table, struct weir_nl_table_route **routes, size_t *count)
{
	struct table_search search = {
		.list = {.size = sizeof(**routes)}, .table = table, .family = (unsigned char)family_of((size_t)address_length)};
	struct rtmsg body = {.rtm_family = search.family};
	int error = weir_nl_dump(RTM_GETROUTE, &body, sizeof(body), parse_table_route, &search.list);
	return weir_nl_hand_over(error, &search.list, (void **)routes, count);
}

int weir_nl_encode_route(enum weir_nl_route_change change, const struct weir_nl_table_route *route,
			 struct weir_nl_messages *messages)
{
	int deletes = change == WEIR_NL_ROUTE_DELETE;
	struct rtmsg body = {
		.rtm_family = (unsigned char)family_of(route->length),
		.rtm_dst_len = route->prefix_length,
		.rtm_table = route->table < 256 ? (unsigned char)route->table : RT_TABLE_UNSPEC,
		.rtm_protocol = route->protocol,
		.rtm_type = route->kind,
		.rtm_scope = RT_SCOPE_UNIVERSE,
	};
	/* IPv6 has no scopes; a deletion fits any. */
	if (route->length == 4)
		body.rtm_scope = deletes ? RT_SCOPE_NOWHERE : route->kind == RTN_UNICAST ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	struct nl_msg *message =
		weir_nl_change(deletes ? RTM_DELROUTE : RTM_NEWROUTE,
			       deletes			       ? 0
			       : change == WEIR_NL_ROUTE_ADD   ? NLM_F_CREATE | NLM_F_EXCL
							       : NLM_F_CREATE | NLM_F_REPLACE,
			       &body, sizeof(body));
	if (!message)
		return -ENOMEM;
	int failed = nla_put(message, RTA_DST, route->length, route->bytes) ||
		     (route->table >= 256 && nla_put_u32(message, RTA_TABLE, route->table)) ||
		     (route->metric && nla_put_u32(message, RTA_PRIORITY, route->metric)) ||
		     (route->ifindex && nla_put_u32(message, RTA_OIF, route->ifindex));
	if (!failed && route->mtu && !deletes) {
		/* Without NLA_F_NESTED, as iproute2 does: strict kernels accept both. */
		struct nlattr *metrics = nla_reserve(message, RTA_METRICS, 0);
		failed = !metrics || nla_put_u32(message, RTAX_MTU, route->mtu) || nla_nest_end(message, metrics);
	}
	return weir_nl_enqueue(messages, message, failed);
}

/* Attributes that say where a rule leads; all others narrow it. */
static int leads_only(int type)
{
	switch (type) {
	case FRA_PRIORITY:
	case FRA_TABLE:
	case FRA_PROTOCOL:
	case FRA_FWMARK:
	case FRA_FWMASK:
	case FRA_SUPPRESS_PREFIXLEN:
	case FRA_PAD: return 1;
	default: return 0;
	}
}

static int parse_rule(struct nlmsghdr *header, void *context)
{
	struct table_search *search = context;
	struct fib_rule_hdr *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWRULE || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	if (message->family != search->family)
		return 0;
	struct weir_nl_rule *out = weir_nl_append(&search->list);
	if (!out)
		return search->list.error;
	out->length = message->family == AF_INET ? 4 : 16;
	out->table = message->table;
	out->is_inverted = (message->flags & FIB_RULE_INVERT) != 0;
	out->is_plain = message->action == FR_ACT_TO_TBL && !message->src_len && !message->dst_len && !message->tos;
	struct nlattr *attribute;
	int rest;
	nlmsg_for_each_attr(attribute, header, sizeof(*message), rest) {
		switch (nla_type(attribute)) {
		case FRA_PRIORITY: out->preference = number(attribute); break;
		case FRA_TABLE: out->table = number(attribute); break;
		case FRA_FWMARK: out->mark = number(attribute); break;
		case FRA_FWMASK: out->mask = number(attribute); break;
		case FRA_PROTOCOL: out->protocol = nla_len(attribute) ? nla_get_u8(attribute) : 0; break;
		/* -1: off. */
		case FRA_SUPPRESS_PREFIXLEN: out->is_plain &= number(attribute) == ~0u; break;
		}
		out->is_plain &= leads_only(nla_type(attribute));
	}
	return 0;
}

int weir_nl_rules(int address_length, struct weir_nl_rule **rules, size_t *count)
{
	struct table_search search = {
		.list = {.size = sizeof(**rules)}, .family = (unsigned char)family_of((size_t)address_length)};
	struct fib_rule_hdr body = {.family = search.family};
	int error = weir_nl_dump(RTM_GETRULE, &body, sizeof(body), parse_rule, &search.list);
	return weir_nl_hand_over(error, &search.list, (void **)rules, count);
}

int weir_nl_encode_rule(int add, const struct weir_nl_rule *rule, struct weir_nl_messages *messages)
{
	struct fib_rule_hdr body = {
		.family = (unsigned char)family_of(rule->length),
		.table = rule->table < 256 ? (unsigned char)rule->table : RT_TABLE_UNSPEC,
		.action = add ? FR_ACT_TO_TBL : FR_ACT_UNSPEC,
		.flags = rule->is_inverted ? FIB_RULE_INVERT : 0,
	};
	struct nl_msg *message = weir_nl_change(add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0, &body,
						sizeof(body));
	if (!message)
		return -ENOMEM;
	int failed = nla_put_u32(message, FRA_PRIORITY, rule->preference) ||
		     (rule->mask && (nla_put_u32(message, FRA_FWMARK, rule->mark) ||
				     nla_put_u32(message, FRA_FWMASK, rule->mask))) ||
		     (rule->table >= 256 && nla_put_u32(message, FRA_TABLE, rule->table)) ||
		     nla_put_u8(message, FRA_PROTOCOL, rule->protocol);
	return weir_nl_enqueue(messages, message, failed);
}
