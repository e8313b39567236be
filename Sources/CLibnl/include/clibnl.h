/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CLIBNL_H
#define WEIR_CLIBNL_H
#endif
