/* Writes the user whose rights it has: another one than its caller's when it may raise its privileges. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    printf("Effective uid: %d\n", (int)geteuid());
    return 0;
}
