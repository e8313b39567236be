/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_OBJECTS_H
#define WEIR_OBJECTS_H
#endif
