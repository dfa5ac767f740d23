/* persons.c: see persons.h. */
#include "infer/serve/persons.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fileio.h"

static const char *const endings[] = {".png", ".jpg", ".jpeg"};
enum { ENDINGS = sizeof endings / sizeof *endings };
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int person_path(char *path, size_t size, const char *folder, const char *name) {
    if (!*folder || !*name || name[strspn(name, letters)]) return 0;
    for (int i = 0; i < ENDINGS; i++)
        if (snprintf(path, size, "%s/%s%s", folder, name, endings[i]) < (int)size && file_exists(path)) return 1;
    return 0;
}

const char *person_media_type(const char *path) {
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, ".png") ? "image/png" : "image/jpeg";
}

/* Finds a person's name in a file name. 0: it is no person's file. */
static int person_in(char *name, size_t size, const char *file) {
    size_t length = strspn(file, letters);
    if (!length || length >= size) return 0;
    for (int i = 0; i < ENDINGS; i++)
        if (!strcmp(file + length, endings[i])) return snprintf(name, size, "%.*s", (int)length, file) > 0;
    return 0;
}

char *persons_list(const char *folder) {
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "persons");
    struct dirent **files = NULL;
    int count = *folder ? scandir(folder, &files, NULL, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        char name[64];
        if (person_in(name, sizeof name, files[i]->d_name)) cJSON_AddItemToArray(list, cJSON_CreateString(name));
        free(files[i]);
    }
    free(files);
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}
