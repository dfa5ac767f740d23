/* prompt_entities.c: HTML's named characters: all of HTML 4, and HTML 5's names of ASCII characters. See prompt.h. */
#include "model/text/prompt_internal.h"

#include <string.h>

struct entity {
    const char *name;
    unsigned code;
};
/* Names that are also recognised without a semicolon. */
static const struct entity open_ended[] = {
    {"AElig", 198},  {"AMP", 38},     {"Aacute", 193}, {"Acirc", 194},  {"Agrave", 192}, {"Aring", 197},
    {"Atilde", 195}, {"Auml", 196},   {"COPY", 169},   {"Ccedil", 199}, {"ETH", 208},    {"Eacute", 201},
    {"Ecirc", 202},  {"Egrave", 200}, {"Euml", 203},   {"GT", 62},      {"Iacute", 205}, {"Icirc", 206},
    {"Igrave", 204}, {"Iuml", 207},   {"LT", 60},      {"Ntilde", 209}, {"Oacute", 211}, {"Ocirc", 212},
    {"Ograve", 210}, {"Oslash", 216}, {"Otilde", 213}, {"Ouml", 214},   {"QUOT", 34},    {"REG", 174},
    {"THORN", 222},  {"Uacute", 218}, {"Ucirc", 219},  {"Ugrave", 217}, {"Uuml", 220},   {"Yacute", 221},
    {"aacute", 225}, {"acirc", 226},  {"acute", 180},  {"aelig", 230},  {"agrave", 224}, {"amp", 38},
    {"aring", 229},  {"atilde", 227}, {"auml", 228},   {"brvbar", 166}, {"ccedil", 231}, {"cedil", 184},
    {"cent", 162},   {"copy", 169},   {"curren", 164}, {"deg", 176},    {"divide", 247}, {"eacute", 233},
    {"ecirc", 234},  {"egrave", 232}, {"eth", 240},    {"euml", 235},   {"frac12", 189}, {"frac14", 188},
    {"frac34", 190}, {"gt", 62},      {"iacute", 237}, {"icirc", 238},  {"iexcl", 161},  {"igrave", 236},
    {"iquest", 191}, {"iuml", 239},   {"laquo", 171},  {"lt", 60},      {"macr", 175},   {"micro", 181},
    {"middot", 183}, {"nbsp", 160},   {"not", 172},    {"ntilde", 241}, {"oacute", 243}, {"ocirc", 244},
    {"ograve", 242}, {"ordf", 170},   {"ordm", 186},   {"oslash", 248}, {"otilde", 245}, {"ouml", 246},
    {"para", 182},   {"plusmn", 177}, {"pound", 163},  {"quot", 34},    {"raquo", 187},  {"reg", 174},
    {"sect", 167},   {"shy", 173},    {"sup1", 185},   {"sup2", 178},   {"sup3", 179},   {"szlig", 223},
    {"thorn", 254},  {"times", 215},  {"uacute", 250}, {"ucirc", 251},  {"ugrave", 249}, {"uml", 168},
    {"uuml", 252},   {"yacute", 253}, {"yen", 165},    {"yuml", 255}};
static const struct entity closed[] = {{"Alpha", 913},    {"Beta", 914},         {"Chi", 935},
                                       {"Dagger", 8225},  {"Delta", 916},        {"DiacriticalGrave", 96},
                                       {"Epsilon", 917},  {"Eta", 919},          {"Gamma", 915},
                                       {"Hat", 94},       {"Iota", 921},         {"Kappa", 922},
                                       {"Lambda", 923},   {"Mu", 924},           {"NewLine", 10},
                                       {"Nu", 925},       {"OElig", 338},        {"Omega", 937},
                                       {"Omicron", 927},  {"Phi", 934},          {"Pi", 928},
                                       {"Prime", 8243},   {"Psi", 936},          {"Rho", 929},
                                       {"Scaron", 352},   {"Sigma", 931},        {"Tab", 9},
                                       {"Tau", 932},      {"Theta", 920},        {"UnderBar", 95},
                                       {"Upsilon", 933},  {"VerticalLine", 124}, {"Xi", 926},
                                       {"Yuml", 376},     {"Zeta", 918},         {"alefsym", 8501},
                                       {"alpha", 945},    {"and", 8743},         {"ang", 8736},
                                       {"apos", 39},      {"ast", 42},           {"asymp", 8776},
                                       {"bdquo", 8222},   {"beta", 946},         {"bsol", 92},
                                       {"bull", 8226},    {"cap", 8745},         {"chi", 967},
                                       {"circ", 710},     {"clubs", 9827},       {"colon", 58},
                                       {"comma", 44},     {"commat", 64},        {"cong", 8773},
                                       {"crarr", 8629},   {"cup", 8746},         {"dArr", 8659},
                                       {"dagger", 8224},  {"darr", 8595},        {"delta", 948},
                                       {"diams", 9830},   {"dollar", 36},        {"empty", 8709},
                                       {"emsp", 8195},    {"ensp", 8194},        {"epsilon", 949},
                                       {"equals", 61},    {"equiv", 8801},       {"eta", 951},
                                       {"euro", 8364},    {"excl", 33},          {"exist", 8707},
                                       {"fnof", 402},     {"forall", 8704},      {"frasl", 8260},
                                       {"gamma", 947},    {"ge", 8805},          {"grave", 96},
                                       {"hArr", 8660},    {"harr", 8596},        {"hearts", 9829},
                                       {"hellip", 8230},  {"image", 8465},       {"infin", 8734},
                                       {"int", 8747},     {"iota", 953},         {"isin", 8712},
                                       {"kappa", 954},    {"lArr", 8656},        {"lambda", 955},
                                       {"lang", 10216},   {"larr", 8592},        {"lbrace", 123},
                                       {"lbrack", 91},    {"lceil", 8968},       {"lcub", 123},
                                       {"ldquo", 8220},   {"le", 8804},          {"lfloor", 8970},
                                       {"lowast", 8727},  {"lowbar", 95},        {"loz", 9674},
                                       {"lpar", 40},      {"lrm", 8206},         {"lsaquo", 8249},
                                       {"lsqb", 91},      {"lsquo", 8216},       {"mdash", 8212},
                                       {"midast", 42},    {"minus", 8722},       {"mu", 956},
                                       {"nabla", 8711},   {"ndash", 8211},       {"ne", 8800},
                                       {"ni", 8715},      {"notin", 8713},       {"nsub", 8836},
                                       {"nu", 957},       {"num", 35},           {"oelig", 339},
                                       {"oline", 8254},   {"omega", 969},        {"omicron", 959},
                                       {"oplus", 8853},   {"or", 8744},          {"otimes", 8855},
                                       {"part", 8706},    {"percnt", 37},        {"period", 46},
                                       {"permil", 8240},  {"perp", 8869},        {"phi", 966},
                                       {"pi", 960},       {"piv", 982},          {"plus", 43},
                                       {"prime", 8242},   {"prod", 8719},        {"prop", 8733},
                                       {"psi", 968},      {"quest", 63},         {"rArr", 8658},
                                       {"radic", 8730},   {"rang", 10217},       {"rarr", 8594},
                                       {"rbrace", 125},   {"rbrack", 93},        {"rceil", 8969},
                                       {"rcub", 125},     {"rdquo", 8221},       {"real", 8476},
                                       {"rfloor", 8971},  {"rho", 961},          {"rlm", 8207},
                                       {"rpar", 41},      {"rsaquo", 8250},      {"rsqb", 93},
                                       {"rsquo", 8217},   {"sbquo", 8218},       {"scaron", 353},
                                       {"sdot", 8901},    {"semi", 59},          {"sigma", 963},
                                       {"sigmaf", 962},   {"sim", 8764},         {"sol", 47},
                                       {"spades", 9824},  {"sub", 8834},         {"sube", 8838},
                                       {"sum", 8721},     {"sup", 8835},         {"supe", 8839},
                                       {"tau", 964},      {"there4", 8756},      {"theta", 952},
                                       {"thetasym", 977}, {"thinsp", 8201},      {"tilde", 732},
                                       {"trade", 8482},   {"uArr", 8657},        {"uarr", 8593},
                                       {"upsih", 978},    {"upsilon", 965},      {"verbar", 124},
                                       {"vert", 124},     {"weierp", 8472},      {"xi", 958},
                                       {"zeta", 950},     {"zwj", 8205},         {"zwnj", 8204}};

static unsigned look_up(const struct entity *list, size_t count, const char *name, size_t length) {
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i].name) == length && !memcmp(list[i].name, name, length)) return list[i].code;
    return 0;
}

unsigned prompt_entity(const char *name, size_t length, int semicolon) {
    unsigned code = look_up(open_ended, sizeof open_ended / sizeof *open_ended, name, length);
    return code || !semicolon ? code : look_up(closed, sizeof closed / sizeof *closed, name, length);
}
