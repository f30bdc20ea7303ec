/*
 * What ThreadSanitizer does not know by itself: Debian's Lua leaves functions with glibc's checked
 * longjmp, which it does not intercept, so that it would take each function that an error of Lua's
 * has left for one still running. Part of every program that is built with it, where Lua finds this
 * in place of glibc's.
 */
#include <setjmp.h>

__attribute__((visibility("default"), noreturn)) void __longjmp_chk(struct __jmp_buf_tag env[1],
                                                                    int value);

void __longjmp_chk(struct __jmp_buf_tag env[1], int value) {
  longjmp(env, value);
}
