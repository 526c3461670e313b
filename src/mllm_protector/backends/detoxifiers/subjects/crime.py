"""Subjects of violence, weapons, crime and computer abuse (S1 to S4, S9, S14)."""

# ruff: noqa: E501  (a table reads best with one text per line)
from __future__ import annotations

from mllm_protector.backends.detoxifiers.subjects.subject import Subject

__all__ = ["CRIME"]

CRIME: tuple[Subject, ...] = (
    Subject(
        "explosives",
        ("S9", "S1"),
        r"bombs?\b|explosi|grenade|dynamite|detonat|molotov|pipe ?bomb|missile|firecracker|incendiar|tnt\b|napalm",
        "explosive devices",
        (
            "Home-made explosives kill and maim, often the maker and the neighbours first.",
            "A device like that cannot tell its target from the people who happen to be near.",
        ),
        (
            "I can explain how demolition and mining are regulated, or the chemistry of combustion at school level.",
            "If you like chemistry, I can suggest safe experiments of the kind taught at school, and how to supervise them.",
        ),
    ),
    Subject(
        "mass-harm weapons",
        ("S9",),
        r"nerve agent|sarin|anthrax|ricin|chemical weapon|bio ?weapon|biological (?:weapon|agent)|radiolog|nuclear"
        r"|dirty bomb|toxic gas|poison gas|pathogen|chlorine gas|mustard gas|enrich\w* uranium",
        "making chemical, biological or nuclear agents",
        (
            "Such agents injure everyone within reach, and no safeguard brings them back once they are released.",
            "Even a failed attempt endangers families, rescuers and whole neighbourhoods.",
        ),
        (
            "I can go into the history of the treaties that ban them, or how hospitals and fire services prepare for an accident.",
            "I can explain how laboratories handle hazardous material, or how household chemicals are stored apart safely.",
        ),
    ),
    Subject(
        "firearms",
        ("S2", "S1", "S9"),
        r"guns?\b|firearm|rifle|pistol|silencer|suppressor|ammunition|ammo\b|ghost gun|3d[- ]print\w* (?:gun|weapon)"
        r"|weapons?\b|armou?ry|shotgun|machine gun|handgun",
        "getting or making weapons outside the law",
        (
            "Unregistered weapons reach people who are barred from having them, and accidents at home follow.",
            "Weapons without checks or training end in injuries that no one intended.",
        ),
        (
            "I can outline what licensing, safe storage and training courses usually involve.",
            "If you feel unsafe, I can help you think through home security, a safety plan, or how to speak to the police.",
        ),
    ),
    Subject(
        "killing",
        ("S1",),
        r"kill (?!process|switch|time)|murder|assassinat|hitman|hit man|strangl|get rid of a body|dispose of a body|stab\b|behead",
        "harming or killing anyone",
        (
            "A life taken cannot be given back, and the loss reaches families for good.",
            "Violence of this kind destroys the person attacked and everyone around them.",
        ),
        (
            "If anger at someone is running high, I can help you step back, plan a conversation, or find a mediator.",
            "If this is for a story, I can work on motive, suspense and consequences without a method; if someone is in "
            "danger now, please contact local emergency services.",
        ),
    ),
    Subject(
        "poisoning",
        ("S1", "S9"),
        r"poison|cyanide|arsenic|antifreeze|lace (?:his|her|their|the)|spik\w+ (?:a |his |her |their |the )?drink|roofie|date rape drug",
        "poisoning or drugging a person or animal",
        (
            "Poisoning causes lasting injury or death, and the dose is never under control.",
            "Giving someone a substance without their knowledge takes away their safety and their consent.",
        ),
        (
            "I can list household products to keep locked away, or how to recognise poisoning and get help fast.",
            "I can explain how to watch over drinks at a party and what to do if someone seems to have been drugged.",
        ),
    ),
    Subject(
        "terrorism",
        ("S1",),
        r"terror|extremis|jihad|isis\b|mass shooting|radicali[sz]|militia|insurg|massacre|attack on a (?:crowd|school|church|mosque)"
        r"|shoot up|hijack a plane",
        "planning or promoting attacks on people",
        (
            "Attacks like these are meant to kill strangers and to frighten everyone else.",
            "Propaganda of this kind draws vulnerable people into acts that ruin many lives.",
        ),
        (
            "I can discuss research on how people leave violent movements and what communities do to prevent it.",
            "I can explain how to report a threat to the local police, or talk about the political grievance in peaceful terms.",
        ),
    ),
    Subject(
        "assault",
        ("S1",),
        r"beat (?:up|someone)|assault|punch|torture|hurt (?:someone|him|her|them|my|people)|injure|attack (?:someone|a person|him|her)"
        r"|physical(?:ly)? harm|break (?:his|her|their|someone's) |acid attack|electric shock|run (?:him|her|someone) over|fight\b|ambush",
        "hurting someone",
        (
            "Physical attacks leave injuries and fear that last far longer than the quarrel.",
            "One blow can cause permanent damage, for which the attacker answers for life.",
        ),
        (
            "I can help you word what went wrong, set a boundary, or prepare a calm talk with the person.",
            "If you need to protect yourself, I can describe de-escalation, self-defence classes and how protection orders work.",
        ),
    ),
    Subject(
        "kidnapping",
        ("S1", "S3"),
        r"kidnap|abduct|hostage|traffick|smuggl\w+ (?:people|humans?|migrants?)|forced labou?r|slave|imprison|lock (?:him|her|them|someone) (?:up|in)",
        "holding, moving or exploiting people against their will",
        (
            "It robs people of their freedom and exposes them to violence they cannot escape.",
            "The victims carry the trauma for years, and many never come home.",
        ),
        (
            "I can describe the warning signs of trafficking and how to report a suspicion safely.",
            "I can explain how families and employers spot coercion, and what support services for victims do.",
        ),
    ),
    Subject(
        "animal cruelty",
        ("S1",),
        r"animal abuse|animal cruelty|dog ?fight|cock ?fight|bull ?fight|poach|(?:hurt|kick|beat|kill|torture|drown|abuse|trap)\w* "
        r"(?:\w+ ){0,2}(?:dogs?|cats?|animals?|birds?|puppy|puppies|kittens?|pets?)|endangered|ivory|wildlife",
        "hurting animals",
        (
            "Animals feel pain and fear, and cruelty to them is a crime in many places.",
            "The suffering is real, and wild populations may not recover from it.",
        ),
        (
            "I can suggest gentle ways to train an animal, keep one out of the garden, or find it a new home.",
            "If you have seen an animal treated badly, I can explain how to document it and report it to a welfare group.",
        ),
    ),
    Subject(
        "domestic abuse",
        ("S1", "S3"),
        r"domestic (?:abuse|violence)|(?:control|manipulat|isolat|hit|beat|gaslight)\w* (?:my|your|his|her|a) (?:wife|husband|girlfriend|boyfriend|partner|spouse)|gaslight",
        "controlling or frightening a partner",
        (
            "Control and fear inside a relationship do deep and lasting harm.",
            "It breaks the other person's health and safety in the place meant to be home.",
        ),
        (
            "I can help you put a worry or a need into words that respect both of you, or point to couples counselling.",
            "If anyone feels unsafe at home, I can go through a safety plan; in danger, local emergency services come first.",
        ),
    ),
    Subject(
        "child harm",
        ("S4", "S1"),
        r"(?:child|children|kids?|minors?|toddler|baby|infant|teen)\w*\b.{0,40}(?:abus|beat|hit|groom|lure|exploit|neglect|nude|naked|sex|punish|starv|molest)"
        r"|(?:abus|beat|hit|groom|lur|exploit|neglect|nude|naked|sex|molest|starv)\w*\b.{0,40}(?:child|kids?\b|minors?\b|toddler|infant|teen)|pedophil|paedophil|underage|csam",
        "anything that hurts or exploits a child",
        (
            "Children cannot protect themselves, and such harm follows them all their lives.",
            "A child depends on adults for safety, and there is no exception to that.",
        ),
        (
            "I can explain how to recognise signs of abuse and how to report them to child protection or the police.",
            "I can help with calm ways to set limits with children, online safety for families, or support for parents under strain.",
        ),
    ),
    Subject(
        "drugs",
        ("S2",),
        r"drugs?\b|meth\b|methamphet|cocaine|heroin|fentanyl|mdma|ecstasy|lsd\b|crack\b|opioid|narcotic|cannabis|marijuana|weed\b"
        r"|steroids?|pills?\b|controlled substance|substances? abuse|get high|dealer|overdos",
        "making, selling or misusing drugs",
        (
            "Unknown strength and impurities make street drugs deadly, and the trade is tied to violence.",
            "Addiction and overdose harm users and families, and supplying them is a serious crime.",
        ),
        (
            "I can explain the health effects, how treatment works, or how to talk with someone you worry about.",
            "I can describe how a pharmacist, a doctor or a support group can help with pain, sleep or dependence.",
        ),
    ),
    Subject(
        "theft",
        ("S2",),
        r"steal|stole|theft|shoplift|pickpocket|rob\b|robbery|robbing|burgl|break into|pick (?:a |the )?locks?|lock ?pick|hotwire|car ?jack"
        r"|car theft|loot|embezzl|heist|bank job|porch",
        "taking what belongs to someone else",
        (
            "Theft costs people money, safety and trust, and often turns into a confrontation.",
            "The owner loses more than the object, and a conviction closes many doors.",
        ),
        (
            "I can help you find second-hand, rental, lending or emergency support options for what you need.",
            "I can suggest ways to protect a home, a bicycle or a bag, or whom to call when you are locked out of your own place.",
        ),
    ),
    Subject(
        "forgery",
        ("S2",),
        r"forg(?:e|ed|ing|ery)|counterfeit|fake (?:id|ids|passport|document|money|cheque|check|currency|certificate|diploma|license|licence|prescription|ticket|driver|identification|bills?|notes?)"
        r"|false (?:document|identit|id\b)|falsif|alter(?:ing)? (?:a )?document|replica|knock-?offs?|identification card",
        "making false documents, money or goods",
        (
            "Forged papers and goods feed identity fraud and leave honest people with the loss.",
            "They undermine the checks that everyone relies on, and making them is a crime nearly everywhere.",
        ),
        (
            "I can outline how to apply for, renew or urgently replace a genuine document.",
            "I can explain how to check that a document or note is genuine, and where to report one that is not.",
        ),
    ),
    Subject(
        "identity theft",
        ("S2", "S7"),
        r"identity theft|steal\w* (?:\w+ )?identit|credit cards?|card number|card details|skimm|social security|bank account|bank details|impersonat|pretend to be|pose as|atm\b|pin code",
        "using other people's identity or accounts",
        (
            "Victims lose savings and spend years clearing their names.",
            "Borrowing someone's identity leaves them with the debts and the blame.",
        ),
        (
            "I can go through freezing credit, spotting misuse early and strengthening account security.",
            "If your own card or account was misused, I can list the steps to report it to your bank and limit the damage.",
        ),
    ),
    Subject(
        "phishing",
        ("S2", "S14"),
        r"phish|spoof|fake (?:email|website|login|web ?page)|social engineer|trick\w* (?:people|users|someone|them|employees) into|spam\b|clone a (?:site|website)|smish|vish",
        "phishing or tricking people out of their data",
        (
            "One convincing message can cost a person their savings or a firm its data.",
            "It abuses people's trust, and they lose money or accounts by it.",
        ),
        (
            "I can help you write a staff training note on how to recognise such messages.",
            "I can explain two-step sign-in, mail filters, and what to do after opening a suspicious message.",
        ),
    ),
    Subject(
        "scams",
        ("S2",),
        r"scam|ponzi|pyramid scheme|swindl|con (?:people|someone|artist|the)|defraud|fraud|insurance (?:money|claim)|charity (?:scam|fraud)|romance|fake (?:charity|lottery|job|business|company|invoice|store|investment)"
        r"|get[- ]rich|mlm\b|multi-?level|decei\w+|dupe|bait and switch|false advertis|mislead\w* (?:customers|consumers|buyers|investors)",
        "deceiving people for money",
        (
            "People lose savings they cannot earn again, and many are too ashamed to tell anyone.",
            "Schemes like that move money from those who trust to those who lie.",
        ),
        (
            "I can describe the signs of a scam, so that you can warn friends or customers.",
            "I can help with an honest version: a clear offer, fair terms and marketing that keeps its promises.",
        ),
    ),
    Subject(
        "money laundering",
        ("S2",),
        r"launder|tax (?:evasion|fraud|haven)|evad\w+ tax|avoid\w* (?:paying )?tax|hide (?:money|income|assets)|shell compan|offshore|off-shore|brib|kickback|corrupt",
        "hiding or laundering money",
        (
            "Hidden money pays for other crimes and shifts the burden to everyone who pays their share.",
            "It keeps victims from being repaid and exposes you to prosecution.",
        ),
        (
            "I can explain legal allowances, record keeping, or how to put an old tax matter right with the authorities.",
            "I can outline what compliance rules ask of a small business, and questions to bring to an accountant.",
        ),
    ),
    Subject(
        "market abuse",
        ("S2",),
        r"insider trad|insider information|pump[- ]and[- ]dump|manipulat\w* (?:the )?(?:market|stock|price|currency|shares)|price fixing|market manipulat|cartel|spoofing orders",
        "rigging a market",
        (
            "Rigged prices take money from ordinary savers and damage trust in the market.",
            "Those who trade fairly pay for it, and regulators treat it as a serious offence.",
        ),
        (
            "I can explain how disclosure rules work and what counts as inside information.",
            "I can go over the basics of research, diversification and risk, without telling you what to buy.",
        ),
    ),
    Subject(
        "extortion",
        ("S2", "S7"),
        r"blackmail|extort|sextort|ransom (?!ware)|threaten\w* (?:to|someone|him|her|my|people)|threatening (?:letter|note|message)|coerc|intimidat|protection money",
        "threatening people to get something from them",
        (
            "Threats keep people in fear, and they rarely end with one payment.",
            "It forces someone to act against their will, and has driven victims to despair.",
        ),
        (
            "I can help you write a firm, lawful letter asking for what you are owed.",
            "If someone is threatening you, I can go over saving the evidence, not paying, and reporting it.",
        ),
    ),
    Subject(
        "malware",
        ("S14", "S2"),
        r"malware|virus(?:es)?\b|trojan|ransomware|keylog|spyware|worm\b|botnet|rootkit|backdoor|adware|malicious (?:code|software|script|program)|payload|logic bomb",
        "writing or spreading malicious software",
        (
            "It locks people out of their work, and hospitals and schools are hit along with the target.",
            "Once it spreads, nobody controls whose files and money are lost.",
        ),
        (
            "I can explain how such software is detected, how backups limit the damage, or how to start in security research legally.",
            "I can help you harden a system, write detection rules, or plan what to do in an incident.",
        ),
    ),
    Subject(
        "hacking",
        ("S14", "S2", "S7"),
        r"hack|crack (?:a |the |someone|passwords?|software|wi-?fi)|brute[- ]?force|sql injection|exploit (?:a |the |vulnerab|security)|vulnerabilit|bypass\w* (?:\w+ ){0,3}(?:security|authentication|firewall|password|defen[cs]e|filter|lock)"
        r"|unauthori[sz]ed access|gain access|ddos|denial of service|(?:guess|get|find|steal|reset)\w* (?:\w+ ){0,3}password|cyber ?attack|cybercrime|firewall|network intrusion|zero-?day|sniff",
        "getting into systems or accounts without permission",
        (
            "Break-ins expose private data and stop services that people depend on.",
            "The owner has not agreed, and those whose data is inside pay the price.",
        ),
        (
            "I can help you secure your own accounts and network, or recover access through the provider.",
            "I can point you to how authorised testing works: written permission, practice labs and responsible disclosure.",
        ),
    ),
    Subject(
        "property damage",
        ("S2", "S1"),
        r"arson|set (?:\w+ )?(?:fire|on fire)|burn down|vandal|graffiti|sabotag|slash\w* tires|destroy (?:property|a|the|someone)|damage (?:a|the|someone|property)|riot|derail|break (?:a|the) window|trespass",
        "damaging property",
        (
            "Fire and sabotage endanger residents and rescuers as well as the owner.",
            "Damage of this kind spreads beyond its target and puts bystanders at risk.",
        ),
        (
            "I can help you write a complaint, seek mediation, or organise a lawful protest.",
            "I can explain how to make a place safer against it, or how to apply for permission to paint a legal wall.",
        ),
    ),
    Subject(
        "academic cheating",
        ("S2", "S8"),
        r"plagiari|cheat\w* (?:on|in|at)|exam\b|exams\b|essay mill|homework for me|academic (?:dishonest|misconduct|fraud)|fake (?:research|data|degree)|fabricat\w* (?:data|results)|grades?\b|test answers",
        "cheating in studies or research",
        (
            "It takes places from those who did the work and leaves you without the skill.",
            "Others build on results, so invented ones mislead far beyond the class.",
        ),
        (
            "I can explain the material, build a study plan with you, or review a draft of your own.",
            "I can show how to cite sources properly or how to ask a teacher for more time.",
        ),
    ),
    Subject(
        "dodging the law",
        ("S2",),
        r"without (?:getting|being) caught|get away with|avoid (?:detection|getting caught|the police|arrest|prosecution)|evade (?:police|law|detection|capture|arrest)|fool (?:a |the )?(?:police|drug test|lie detector|breath)|drug test|drunk driv|speeding|fake alibi|cover up|flee|escape from (?:prison|jail)|black market|illegal|smuggl|gambling|dark ?web",
        "breaking the law or hiding it",
        (
            "Rules like these protect other people, who would bear the risk.",
            "It puts others in danger, and what is covered up usually grows worse.",
        ),
        (
            "I can explain what the rules generally say and why, or how to speak with a lawyer about a past mistake.",
            "If there is a need behind this, tell me what it is and I will look for a lawful way to meet it.",
        ),
    ),
)
