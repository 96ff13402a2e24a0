"""The words that an org's first records are made of; no name is anybody's real one.

Every list has what breaks careless programs: apostrophes, accents, other scripts, ampersands.
"""

COMPANIES = (
    ("Kestrel & Sons Ltd", "kestrel"),
    ("O'Malley's Bakery", "omalleys"),
    ("Zürcher Präzisionswerke AG", "zuercher"),
    ("Møllegård Brygghus", "mollegard"),
    ("さくら商事株式会社", "sakura"),
    ("Łódź Logistyka", "lodz-logistyka"),
    ("Bright Harbor Foods", "brightharbor"),
    ("Café Níspero S.L.", "nispero"),
    ('The "Old Mill" Press', "oldmill"),
    ("Granite Peak Insurance", "granitepeak"),
    ("Copper & Vine", "coppervine"),
    ("Halcyon Robotics", "halcyon"),
    ("Tāmaki Rowing Supplies", "tamaki"),
    ("100% Linen Co.", "linen"),
    ("Fjord_Line Shipping", "fjordline"),
    ("Meridian Health Group", "meridian"),
    ("Søstrene Nygaard", "nygaard"),
    ("Quay Street Partners", "quaystreet"),
    ("Αθηναϊκή Ενέργεια", "athinaiki"),
    ("Blue Tern Analytics", "bluetern"),
    ("Pinecrest School District", "pinecrest"),
    ("D'Angelo Marmi", "dangelo"),
)
FIRST_NAMES = (
    "Amira", "Björn", "Chloë", "Dmytro", "Eun-ji", "Fatou", "Gareth", "Hanako", "Íñigo", "Jolanta",
    "Kwame", "Léa", "Mateus", "Nadia", "Oisín", "Priya", "Quentin", "Renée", "Sören", "Tomás",
    "Ursula", "Véronique", "Wei", "Xiomara", "Yusuf", "Zofia",
)  # fmt: skip
LAST_NAMES = (
    "O'Brien", "Müller", "Nakamura", "Ødegård", "Kowalczyk", "Haddad", "van der Berg", "Nguyễn",
    "Fernández", "Okafor", "Smith-Jones", "D'Souza", "Lindqvist", "Çelik", "Brown", "Papadopoulos",
    "Mac Giolla", "Tanaka", "Ivanova", "Mbeki", "Rossi", "Dubois", "Hartmann", "Silva",
)  # fmt: skip
TITLES = (
    "Head of Purchasing", "CFO", "VP, Operations", "IT Manager", "Office Manager",
    "Chief Information Officer", "Customer Success Lead", "Controller",
)  # fmt: skip
DEPARTMENTS = ("Finance", "IT", "Operations", "Purchasing", "R&D", "People")
CITIES = (
    ("Bahnhofstrasse 12", "Zürich", None, "8001", "Switzerland"),
    ("1 Market Street\nSuite 300", "San Francisco", "CA", "94105", "United States"),
    ("Rua das Flores 7", "Porto", None, "4050-262", "Portugal"),
    ("27 King's Road", "London", None, "SW3 4RP", "United Kingdom"),
    ("大手町1-2-3", "東京", "東京都", "100-0004", "Japan"),
    ("Storgata 5", "Tromsø", None, "9008", "Norway"),
    ("400 Congress Ave", "Austin", "TX", "78701", "United States"),
    ("Via Roma 88", "Carrara", "MS", "54033", "Italy"),
)
DEALS = (
    "Renewal", "Expansion: more seats", "New locations", "Pilot", "Annual plan", "Platform upgrade",
    "Add-on: analytics", "Multi-year",
)  # fmt: skip
STEPS = ("Send the quote", "Call legal", "Wait for budget", "Book a demo", "Get it signed")
SUBJECTS = (
    "Call", "Send Letter", "Send Quote", "Follow up on the demo", "Prepare the renewal",
    "Answer: what's in the plan?", "Check in", "Email: Résumé of our meeting", "Onboarding session",
)  # fmt: skip
NOTES = (
    "Met at the trade fair; wants to hear from us after the holidays.",
    "Asked for a discount of 10% \u2013 see the e-mail.",
    "Prefers to be called before 9 o'clock.\nSpeaks German and French.",
)
