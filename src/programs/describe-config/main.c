/* SPDX-License-Identifier: Apache-2.0 */
/* Built, run and forgotten: writes the sample configuration and the manual's list of keys out of the one table. */
#include "facts/config/config.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    int r = -1;
    if (argc == 2 && strcmp(argv[1], "sample") == 0)
        r = config_write_sample(stdout);
    else if (argc == 2 && strcmp(argv[1], "manual") == 0)
        r = config_write_scdoc(stdout);
    else
        (void)fprintf(stderr, "usage: describe-config sample|manual\n");
    return r < 0 || fflush(stdout) != 0;
}
