/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

struct tc_search {
	uint32_t ifindex;
	int found;
};

static int match_clsact(struct nlmsghdr *header, void *context)
{
	struct tc_search *search = context;
	struct tcmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWQDISC || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	struct nlattr *kind = nlmsg_find_attr(header, sizeof(*message), TCA_KIND);
	if ((uint32_t)message->tcm_ifindex == search->ifindex && kind && !nla_strcmp(kind, "clsact"))
		search->found = 1;
	return 0;
}

static int any_filter(struct nlmsghdr *header, void *context)
{
	struct tc_search *search = context;
	struct tcmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWTFILTER || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	search->found = 1;
	return 0;
}

static int search_tc(int type, struct tcmsg body, int (*parse)(struct nlmsghdr *, void *))
{
	struct tc_search search = {.ifindex = (uint32_t)body.tcm_ifindex};
	struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
	if (!message)
		return -ENOMEM;
	if (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO)) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	int seen = weir_nl_ask(NETLINK_ROUTE, message, parse, &search);
	return seen < 0 ? seen : search.found;
}

int weir_nl_has_clsact(uint32_t ifindex)
{
	return search_tc(RTM_GETQDISC, (struct tcmsg){.tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex},
			 match_clsact);
}

int weir_nl_has_filters(uint32_t ifindex, int egress_hook)
{
	return search_tc(RTM_GETTFILTER,
			 (struct tcmsg){
				 .tcm_family = AF_UNSPEC,
				 .tcm_ifindex = (int)ifindex,
				 .tcm_parent = TC_H_MAKE(TC_H_CLSACT,
							 egress_hook ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS),
			 },
			 any_filter);
}

static int add_filter(struct nlmsghdr *header, void *context)
{
	struct list *list = context;
	struct tcmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWTFILTER || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	struct nlattr *kind = nlmsg_find_attr(header, sizeof(*message), TCA_KIND);
	struct nlattr *options = nlmsg_find_attr(header, sizeof(*message), TCA_OPTIONS);
	/* Each priority begins with a message about no filter. */
	if (!message->tcm_handle || !kind || !options)
		return 0;
	struct weir_nl_filter *out = weir_nl_append(list);
	if (!out)
		return list->error;
	out->priority = TC_H_MAJ(message->tcm_info) >> 16;
	out->handle = message->tcm_handle;
	nla_strlcpy(out->kind, kind, sizeof(out->kind));
	if (strcmp(out->kind, "bpf"))
		return 0;
	struct nlattr *id = nla_find(nla_data(options), nla_len(options), TCA_BPF_ID);
	struct nlattr *name = nla_find(nla_data(options), nla_len(options), TCA_BPF_NAME);
	struct nlattr *flags = nla_find(nla_data(options), nla_len(options), TCA_BPF_FLAGS);
	if (id)
		out->program_id = nla_get_u32(id);
	if (name)
		nla_strlcpy(out->name, name, sizeof(out->name));
	out->direct_action = flags && nla_get_u32(flags) & TCA_BPF_FLAG_ACT_DIRECT;
	return 0;
}

int weir_nl_filters(uint32_t ifindex, int egress_hook, struct weir_nl_filter **filters, size_t *count)
{
	struct list list = {.size = sizeof(**filters)};
	struct tcmsg body = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress_hook ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS),
	};
	int error = weir_nl_dump(RTM_GETTFILTER, &body, sizeof(body), add_filter, &list);
	return weir_nl_hand_over(error, &list, (void **)filters, count);
}
