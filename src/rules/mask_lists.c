#include "rules/mask_lists.h"

#include <string.h>

static const char *const first_names[] = {
    "Ada",     "Adam",     "Adele",    "Adrian",  "Agnes",   "Aidan",    "Alan",      "Alba",
    "Albert",  "Alex",     "Alice",    "Alina",   "Alma",    "Alvin",    "Amal",      "Amanda",
    "Amara",   "Amelia",   "Amir",     "Amy",     "Ana",     "Andre",    "Andrea",    "Angela",
    "Anita",   "Anna",     "Anton",    "April",   "Ariel",   "Arjun",    "Arthur",    "Asha",
    "Astrid",  "Aurora",   "Axel",     "Aya",     "Barbara", "Beatrice", "Bella",     "Ben",
    "Bernard", "Bianca",   "Blake",    "Bruno",   "Caleb",   "Camila",   "Carla",     "Carlos",
    "Carmen",  "Caroline", "Cecilia",  "Cedric",  "Celia",   "Charles",  "Charlotte", "Chloe",
    "Clara",   "Claude",   "Colin",    "Conrad",  "Cora",    "Cyrus",    "Daisy",     "Damian",
    "Daniel",  "Daria",    "David",    "Dawn",    "Dean",    "Deborah",  "Delia",     "Denis",
    "Diana",   "Diego",    "Dina",     "Dora",    "Dylan",   "Edgar",    "Edith",     "Eduardo",
    "Elena",   "Eli",      "Elias",    "Elisa",   "Ella",    "Elliot",   "Elsa",      "Emil",
    "Emily",   "Emma",     "Eric",     "Erin",    "Esther",  "Ethan",    "Eva",       "Evelyn",
    "Fabian",  "Farah",    "Fatima",   "Felix",   "Fiona",   "Flora",    "Frances",   "Frank",
    "Freya",   "Gabriel",  "Gemma",    "George",  "Gina",    "Grace",    "Greta",     "Hana",
    "Hannah",  "Harold",   "Harry",    "Heidi",   "Helen",   "Henry",    "Hugo",      "Ian",
    "Ida",     "Igor",     "Ines",     "Ingrid",  "Irene",   "Iris",     "Isaac",     "Isabel",
    "Ivan",    "Ivy",      "Jack",     "Jacob",   "Jade",    "James",    "Jan",       "Jana",
    "Jane",    "Jasmin",   "Jasper",   "Jean",    "Joan",    "Joel",     "Johan",     "John",
    "Jonas",   "Joseph",   "Judith",   "Julia",   "Julian",  "June",     "Kai",       "Karen",
    "Karl",    "Kate",     "Kenji",    "Kevin",   "Kira",    "Klara",    "Kofi",      "Lara",
    "Lars",    "Laura",    "Layla",    "Lea",     "Leah",    "Lena",     "Leo",       "Leon",
    "Leona",   "Lewis",    "Liam",     "Lila",    "Lily",    "Linda",    "Lisa",      "Lola",
    "Louis",   "Lucas",    "Lucia",    "Lucy",    "Luis",    "Luna",     "Lydia",     "Malik",
    "Marc",    "Marco",    "Margaret", "Maria",   "Marie",   "Marina",   "Mario",     "Mark",
    "Marta",   "Martin",   "Mary",     "Mateo",   "Maud",    "Max",      "Maya",      "Mia",
    "Milan",   "Miriam",   "Mona",     "Nadia",   "Naomi",   "Nathan",   "Nell",      "Nia",
    "Nicolas", "Nina",     "Noah",     "Nora",    "Olga",    "Oliver",   "Olivia",    "Omar",
    "Oscar",   "Otto",     "Pablo",    "Paul",    "Paula",   "Peter",    "Petra",     "Philip",
    "Priya",   "Rachel",   "Ravi",     "Rebecca", "Rita",    "Robert",   "Robin",     "Rosa",
    "Ruben",   "Ruth",     "Samuel",   "Sara",    "Simon",   "Sofia",    "Stella",    "Tara",
    "Theo",    "Thomas",   "Tina",     "Vera",    "Victor",
};

static const char *const last_names[] = {
    "Abbott",  "Acker",   "Adler",   "Ahmed",    "Albers",   "Allen",   "Alvarez", "Ames",
    "Anders",  "Archer",  "Arnold",  "Ashby",    "Atkins",   "Bailey",  "Baker",   "Banks",
    "Barlow",  "Barnes",  "Barton",  "Bauer",    "Becker",   "Bell",    "Bennett", "Berg",
    "Bishop",  "Black",   "Blake",   "Bolton",   "Booth",    "Bowen",   "Boyd",    "Bradley",
    "Brandt",  "Brooks",  "Brown",   "Bryant",   "Burke",    "Burns",   "Butler",  "Byrne",
    "Calder",  "Campos",  "Carey",   "Carlson",  "Carr",     "Carter",  "Castro",  "Chandra",
    "Chapman", "Chen",    "Clark",   "Clayton",  "Cohen",    "Cole",    "Collins", "Conway",
    "Cooper",  "Costa",   "Cox",     "Craig",    "Crane",    "Cross",   "Cruz",    "Curtis",
    "Dalton",  "Daly",    "Davies",  "Dawson",   "Day",      "Dean",    "Delgado", "Dixon",
    "Doyle",   "Drake",   "Duncan",  "Dunn",     "Eaton",    "Ebert",   "Edwards", "Ellis",
    "Engel",   "Evans",   "Falk",    "Farrell",  "Faulkner", "Ferrari", "Fields",  "Finch",
    "Fischer", "Fisher",  "Fleming", "Fletcher", "Flynn",    "Ford",    "Foster",  "Fowler",
    "Fox",     "Franco",  "Frank",   "Fraser",   "French",   "Frost",   "Fuchs",   "Fuller",
    "Garcia",  "Gardner", "Gibson",  "Gilbert",  "Glover",   "Gomez",   "Gordon",  "Graham",
    "Grant",   "Gray",    "Green",   "Griffin",  "Gross",    "Gupta",   "Haas",    "Hale",
    "Hall",    "Hansen",  "Hardy",   "Harper",   "Harris",   "Hart",    "Hayes",   "Heath",
    "Henry",   "Herbert", "Hill",    "Hoffman",  "Holland",  "Holmes",  "Holt",    "Hopkins",
    "Howard",  "Hughes",  "Hunt",    "Hunter",   "Ingram",   "Irwin",   "Ito",     "Jackson",
    "Jansen",  "Jensen",  "Johnson", "Jones",    "Jordan",   "Joshi",   "Kane",    "Kaur",
    "Keller",  "Kelly",   "Kent",    "Kern",     "Khan",     "King",    "Klein",   "Knight",
    "Koch",    "Kramer",  "Kumar",   "Lambert",  "Lane",     "Lang",    "Larsen",  "Lawson",
    "Lee",     "Lehmann", "Lewis",   "Lim",      "Lindgren", "Lopez",   "Lowe",    "Lynch",
    "Marsh",   "Martin",  "Mason",   "Maurer",   "Meier",    "Mendez",  "Meyer",   "Miller",
    "Mills",   "Monroe",  "Moore",   "Morgan",   "Morris",   "Moss",    "Murphy",  "Nash",
    "Nelson",  "Newman",  "Nguyen",  "Nolan",    "Norris",   "Novak",   "Olsen",   "Ortega",
    "Owens",   "Page",    "Palmer",  "Park",     "Parker",   "Patel",   "Payne",   "Perez",
    "Perry",   "Peters",  "Porter",  "Price",    "Quinn",    "Ramirez", "Ramos",   "Reed",
    "Reyes",   "Rice",    "Richter", "Rivera",   "Roberts",  "Rogers",  "Rossi",   "Russo",
    "Ryan",    "Sanders", "Santos",  "Sato",     "Schmidt",  "Scott",   "Shaw",    "Silva",
    "Singh",   "Smith",   "Stone",   "Suzuki",   "Taylor",   "Turner",  "Vargas",  "Vogel",
    "Wagner",  "Walker",  "Wang",    "Ward",     "Weber",    "White",   "Wolf",    "Wong",
    "Wood",    "Wright",  "Young",   "Ziegler",
};

static const char *const streets[] = {
    "Acorn",    "Alder",    "Apple",   "Arbor",    "Ash",     "Aspen",    "Autumn",  "Bay",
    "Beach",    "Beacon",   "Beech",   "Birch",    "Bridge",  "Brook",    "Canal",   "Castle",
    "Cedar",    "Chapel",   "Cherry",  "Chestnut", "Church",  "Clover",   "College", "Coral",
    "Cypress",  "Dale",     "Depot",   "Elm",      "Falcon",  "Fern",     "Field",   "Forest",
    "Garden",   "Glen",     "Granite", "Grove",    "Harbor",  "Hawthorn", "Hazel",   "Heather",
    "Hickory",  "Highland", "Hill",    "Holly",    "Ivy",     "Juniper",  "Lake",    "Laurel",
    "Lilac",    "Linden",   "Locust",  "Magnolia", "Maple",   "Market",   "Meadow",  "Mill",
    "Mulberry", "North",    "Oak",     "Olive",    "Orchard", "Park",     "Pearl",   "Pine",
};

static const char *const street_kinds[] = {
    "Avenue", "Court", "Drive", "Lane", "Place", "Road", "Street", "Way",
};

static const char *const cities[] = {
    "Abbotsfield", "Alderton",    "Ambleford",  "Ashgrove",    "Barrowick",   "Beckham",
    "Belmore",     "Birchwood",   "Blackwater", "Bramley",     "Bridgeport",  "Brookfield",
    "Calverton",   "Castlebrook", "Cedarville", "Clearwater",  "Cliffside",   "Coldbrook",
    "Cranford",    "Dalewood",    "Deerfield",  "Eastbrook",   "Edgewater",   "Elmhurst",
    "Fairhaven",   "Fernhill",    "Foxborough", "Glenwood",    "Goldcrest",   "Greenfield",
    "Hartwell",    "Hazelton",    "Highgate",   "Hillcrest",   "Hollowell",   "Ironbridge",
    "Kingsford",   "Lakeside",    "Larkspur",   "Linwood",     "Longmeadow",  "Maplewood",
    "Marshfield",  "Millbrook",   "Newhaven",   "Northfield",  "Oakdale",     "Oldbury",
    "Pinecrest",   "Redcliff",    "Ridgeway",   "Riverton",    "Rosedale",    "Sandhurst",
    "Silverlake",  "Southport",   "Springvale", "Stonebridge", "Summerfield", "Thornbury",
    "Westbrook",   "Whitfield",   "Willowby",   "Woodstock",
};

#define LIST(name)                                                                                 \
    const struct ph_mask_list ph_mask_##name = {(name), sizeof(name) / sizeof(name)[0]}

LIST(first_names);
LIST(last_names);
LIST(streets);
LIST(street_kinds);
LIST(cities);

bool
ph_mask_is_of_lists(const char *mask)
{
    static const char *const masks[] = {"mask_name",   "mask_first_name", "mask_last_name",
                                        "mask_street", "mask_city",       "mask_address"};

    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        if (strcmp(mask, masks[i]) == 0)
            return true;
    }
    return false;
}

static bool
has(const struct ph_mask_list *list, struct ph_span word)
{
    uint32_t low = 0;
    uint32_t high = list->n;

    while (low < high && word.len > 0) {
        uint32_t middle = low + (high - low) / 2;
        const char *at = list->words[middle];
        int order = strncmp(at, (const char *)word.data, word.len);
        if (order == 0 && at[word.len] == '\0')
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* The text up to the separator, which is taken with it; false: it is not there. */
static bool
take_until(struct ph_span *text, const char *separator, struct ph_span *out)
{
    size_t len = strlen(separator);

    for (size_t i = 0; i + len <= text->len; i++) {
        if (memcmp(text->data + i, separator, len) == 0) {
            *out = (struct ph_span){text->data, i};
            *text = (struct ph_span){text->data + i + len, text->len - i - len};
            return true;
        }
    }
    return false;
}

static bool
is_number(struct ph_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return text.len > 0;
}

static bool
gives_name(struct ph_span text)
{
    struct ph_span first;

    return take_until(&text, " ", &first) && has(&ph_mask_first_names, first) &&
           has(&ph_mask_last_names, text);
}

static bool
gives_street(struct ph_span text)
{
    struct ph_span number;
    struct ph_span name;

    return take_until(&text, " ", &number) && is_number(number) && take_until(&text, " ", &name) &&
           has(&ph_mask_streets, name) && has(&ph_mask_street_kinds, text);
}

static bool
gives_address(struct ph_span text)
{
    struct ph_span street;
    struct ph_span code;

    return take_until(&text, ", ", &street) && gives_street(street) &&
           take_until(&text, " ", &code) && is_number(code) && has(&ph_mask_cities, text);
}

bool
ph_mask_lists_give(struct ph_span text)
{
    return has(&ph_mask_first_names, text) || has(&ph_mask_last_names, text) ||
           has(&ph_mask_cities, text) || has(&ph_mask_streets, text) || gives_name(text) ||
           gives_street(text) || gives_address(text);
}
