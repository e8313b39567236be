#include "weir_objects.h"
