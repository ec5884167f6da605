/* Prints its effective user. That differs from its caller's if it may raise its privileges. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    printf("Effective uid: %d\n", (int)geteuid());
    return 0;
}
