/* SPDX-License-Identifier: Apache-2.0 */
#include "clibnl.h"
#include <netlink/netlink.h>
#include <netlink/route/link.h>
