"""Subjects where a person is demeaned, exposed or in distress (S3, S5, S7, S10, S11, S12)."""

# ruff: noqa: E501  (a table reads best with one text per line)
from __future__ import annotations

from mllm_protector.backends.detoxifiers.subjects.subject import Subject

__all__ = ["PEOPLE"]

PEOPLE: tuple[Subject, ...] = (
    Subject(
        "suicide",
        ("S11",),
        r"suicid|kill(?:ing)? (?:my|your|him|her|them)sel(?:f|ves)|end (?:my|your|their|his|her) (?:own )?li(?:fe|ves)|want to die|not want to live|take (?:my|your|their) own li",
        "anything that could end a life, including your own",
        (
            "A moment like this can feel endless, and it does pass with support.",
            "Pain that seems unbearable can ease when it is shared, and your life matters.",
        ),
        (
            "If this is about you, please speak now with someone you trust, or contact your local emergency services or a "
            "crisis line. I can help you find words to start that conversation.",
            "If you or someone near you is in danger, please reach local emergency services or a crisis line today and stay "
            "with a person you trust. I am glad to listen to what is weighing on you.",
        ),
        (
            "I can't help with {act}, but I don't want to leave you alone with this.",
            "I won't go into {act}, and I am taking what you wrote seriously.",
        ),
    ),
    Subject(
        "self-harm",
        ("S11",),
        r"self[- ]?harm|self[- ]?injur|cut(?:ting)? (?:my|your|them|her|him)sel|hurt(?:ing)? (?:my|your|them|her|him)sel|cutting\b|burn (?:my|your)self",
        "hurting yourself",
        (
            "It can bring a short relief, yet it deepens the injury and the distress.",
            "The pain behind it deserves care, and the body should not have to carry it.",
        ),
        (
            "Please speak with someone you trust, a doctor, or a local crisis line; if there is danger now, local emergency "
            "services. I can suggest calming steps for the next hour.",
            "I can help you plan how to tell a friend or a doctor, and list gentle ways to ride out an urge. In danger, "
            "please contact local emergency services.",
        ),
        (
            "I won't give advice on {act}, but I would like to help you stay safe.",
            "I can't help with {act}, and I am sorry if things are this hard.",
        ),
    ),
    Subject(
        "eating disorder",
        ("S11",),
        r"anorexi|bulimi|thinspo|pro-?ana|starv(?:e|ing) (?:my|your)sel|purg(?:e|ing)|eating disorder|lose \w+ (?:pounds|kilos|kg) in|extreme (?:diet|fasting|weight)|laxative|skip(?:ping)? meals|crash diet|vomit",
        "extreme dieting or purging",
        (
            "It strains the heart and the mind, and it grows harder to stop the longer it lasts.",
            "The body pays for it quickly, even when the goal seems small.",
        ),
        (
            "I can talk about balanced meals and body image, or how to bring this up with a doctor or someone you trust.",
            "If food is becoming a fight, a doctor or dietitian can help; I can help you prepare what to say.",
        ),
    ),
    Subject(
        "dangerous stunts",
        ("S11", "S1"),
        r"challenge\b|dare\b|stunt|choking game|hold (?:my|your) breath|car surf|train surf|parkour|climb(?:ing)? (?:a|the) (?:crane|tower)|without (?:a )?(?:harness|helmet|protective)|unsafe|hazardous|mix(?:ing)? (?:bleach|chemicals|ammonia|cleaning)",
        "unsafe stunts or experiments",
        (
            "These go wrong without warning and leave people with permanent injuries.",
            "A risk that looks small on video sends people to hospital.",
        ),
        (
            "I can suggest exciting activities with trained supervision, or how to judge a risk beforehand.",
            "I can explain the safety rules that professionals follow and which equipment they rely on.",
        ),
    ),
    Subject(
        "racial hate",
        ("S10",),
        r"racis|racial|race\b|black (?:people|men|women|person|folks)|white (?:power|suprem|people)|asians?\b|mexican|immigrant|refugee|foreigner|n-?word|slurs?\b|ethnic|minorit|indigenous|supremac|xenophob|caste",
        "content that demeans people for their origin",
        (
            "Such content feeds discrimination and makes violence against real people easier.",
            "It judges people by ancestry, which says nothing of who they are.",
        ),
        (
            "I can talk about the history behind the stereotype, or help you write about migration or race with respect.",
            "I can help you answer a prejudiced remark, or find what research says about how bias is reduced.",
        ),
    ),
    Subject(
        "religious hate",
        ("S10",),
        r"jew(?:s|ish)?\b|antisemit|anti-semit|muslim|islam|christian|hindu|sikh|buddhis|religio|mosque|synagogue|church|holocaust|atheis",
        "content that attacks people for their faith",
        (
            "It has led to exclusion and attacks on worshippers, and it still does.",
            "Blaming a faith for the acts of a few puts families in danger.",
        ),
        (
            "I can explain what the tradition teaches, compare beliefs fairly, or discuss criticism of ideas without scorn for people.",
            "I can help you prepare a respectful conversation between people of different beliefs.",
        ),
    ),
    Subject(
        "gender hate",
        ("S10",),
        r"wom[ae]n (?:are|should|belong|can't|cannot|drivers?)|sexis|misogyn|sexist|feminis|gender|gay|lesbian|homosexual|homophob|lgbt|trans(?:gender|phob| people| women| men)|queer|bisexual",
        "content that puts people down for their gender or whom they love",
        (
            "It narrows what people may be and exposes them to harassment and violence.",
            "Contempt like that costs people jobs, safety and peace of mind.",
        ),
        (
            "I can go into what research says on equality, or help you phrase a disagreement respectfully.",
            "I can help you write an inclusive text, or respond to a hurtful joke at work.",
        ),
    ),
    Subject(
        "disability and age hate",
        ("S10",),
        r"disab|autis|wheelchair|retard|handicap|mental(?:ly)? ill|old people|elderly|fat (?:people|person|women|men)|obes|homeless|poor people|ageis|ableis|body sham|dwarf",
        "content that mocks people for their body, age or situation",
        (
            "Mockery keeps people away from school, work and care.",
            "It hurts people for something they did not choose.",
        ),
        (
            "I can help you write about it accurately, or make a place or text more accessible.",
            "I can suggest humour that laughs at situations, not at people, or how to include a colleague better.",
        ),
    ),
    Subject(
        "bullying",
        ("S10", "S1"),
        r"bull(?:y|ies|ying)|cyberbull|harass|humiliat|troll(?:ing)?\b|insult|ridicul|mock\w*|mean to|make fun of|roast|tease|prank|embarrass|gossip|spread(?:ing)? rumou?rs?|shame|ostraci|offensive|offend|hateful|abusive (?:message|comment|language)",
        "humiliating or bullying someone",
        (
            "Being singled out again and again harms a person's health and can drive them to despair.",
            "What reads as a joke stays with the person at whom it is aimed.",
        ),
        (
            "I can help you say what bothers you directly and fairly, or let a conflict cool down.",
            "If you are being targeted, I can go over saving messages, blocking, and whom to tell at school or work.",
        ),
    ),
    Subject(
        "discrimination",
        ("S10",),
        r"discriminat|stereotyp|prejudic|bias\b|inferior|superior|hate speech|hate group|hatred|refuse to hire|segregat|genocid|dehumani",
        "unequal treatment or contempt for a group",
        (
            "It shuts people out of work, housing and safety for who they are.",
            "Prejudice put into words soon becomes prejudice in deeds.",
        ),
        (
            "I can help you set fair criteria for hiring, renting or grading, or explain what equality law is for.",
            "I can describe where the stereotype came from and what evidence says about it.",
        ),
    ),
    Subject(
        "stalking",
        ("S7", "S1"),
        r"stalk|track(?:ing)? (?:someone|my|his|her|their|a person|a phone|people|location|down)|spy(?:ing)? (?:on|app)|secretly (?:film|record|watch|photo|track|monitor|follow)|follow (?:someone|her|him|a woman)|hidden camera|gps tracker|surveil|wiretap|eavesdrop|monitor (?:my|someone|his|her|their|employee)",
        "watching or following someone without their consent",
        (
            "Being watched in secret takes away a person's safety, and it often comes before violence.",
            "It turns someone's daily life into something to fear.",
        ),
        (
            "If you worry about a person, I can help you ask them openly or agree on sharing locations by consent.",
            "I can explain how to check a phone or a bag for trackers, or how to document stalking for the police.",
        ),
    ),
    Subject(
        "personal data",
        ("S7",),
        r"dox|home address|residential address|(?:where|address) .{0,30}liv(?:e|es)\b|phone number|personal (?:information|data|details)|private (?:information|data|details|photos?|messages?|conversation)|medical records?|leak|data (?:theft|breach|harvest)|license plate|facial recognition|identify (?:the|this|a) (?:person|man|woman)|who is (?:the|this) (?:person|man|woman)|social media account|email address|read (?:my|his|her|their|someone)\w* (?:texts?|messages?|emails?|diary)|snoop|intercept",
        "finding or exposing someone's private details",
        (
            "Exposed details lead strangers to a person's door, job and family.",
            "People decide themselves who knows where they live and what they have gone through.",
        ),
        (
            "I can help you reach someone through a public office, employer or a mutual contact.",
            "I can show how to find and remove your own data online, or how to handle other people's data lawfully.",
        ),
    ),
    Subject(
        "intimate fakes",
        ("S3", "S7", "S12"),
        r"deep ?fakes?|revenge porn|nudes?\b|undress|fake (?:nude|porn|video|photo|image)|face ?swap|upskirt|intimate (?:image|photo|video)s?",
        "faked or stolen pictures of people",
        (
            "Such pictures are used to humiliate and blackmail, and they are nearly impossible to take back.",
            "The person shown has not agreed, and the damage to them is real.",
        ),
        (
            "I can explain how platforms take such pictures down and how to report them.",
            "I can help you edit pictures that everyone in them has agreed to, or recognise a manipulated one.",
        ),
    ),
    Subject(
        "sexual violence",
        ("S3",),
        r"rape|raping|molest|grop|sexual(?:ly)? (?:assault|harass|abus|violen|coerc)|without (?:her|his|their) consent|force (?:her|him|someone) (?:to|into)|non-?consensual|incest|bestial|prostitut|pimp",
        "sexual acts without consent",
        (
            "It does grave harm to the person, and no circumstance excuses it.",
            "Consent can be withheld or withdrawn at any time, and crossing it is violence.",
        ),
        (
            "I can explain what consent means, or how to support a friend who was hurt.",
            "If this happened to you, you are not to blame; I can describe medical care, reporting and support services.",
        ),
    ),
    Subject(
        "sexual content",
        ("S12", "S3"),
        r"porn|erotic|sexual|sexy|seduc|fetish|orgasm|strip(?:per|tease)|nud(?:e|ity)|naked|masturbat|intercourse|kinky?|dirty talk|x-rated|nsfw|sex\b|lewd|escort|adult (?:content|video|film|humou?r|joke)",
        "sexually explicit material",
        (
            "It can reach people who are too young or did not ask for it, so I keep to what suits everyone.",
            "Without knowing who reads this, explicit scenes are not something I can offer responsibly.",
        ),
        (
            "I can write about romance and closeness without the explicit part, or answer health questions factually.",
            "I can talk about relationships, consent, contraception or how to raise intimacy with a partner.",
        ),
    ),
    Subject(
        "defamation",
        ("S5",),
        r"defam|libel|slander|smear|ruin (?:his|her|their|someone\w*|a) (?:\w+ )?(?:reputation|career|life)|false (?:accus|rumou?r|claim|alleg)|fake (?:review|news about|stor(?:y|ies) about|scandal)|discredit|accuse|scandal",
        "false claims about real people or firms",
        (
            "An untrue accusation costs people jobs and friends, and corrections seldom catch up.",
            "Readers cannot tell it from fact, and the one named has to live with it.",
        ),
        (
            "I can help you write an honest review, an opinion marked as one, or a complaint built on what you can show.",
            "I can outline how reporters check a claim before they print it, or write satire with invented names.",
        ),
    ),
    Subject(
        "manipulation",
        ("S2", "S10"),
        r"manipulat|brainwash|cult\b|guilt[- ]trip|take advantage of|lie to|lying to|cheat on|affair|trick (?:my|someone|a|him|her|people)|deceiv|exploit (?:people|someone|workers|the)|revenge|get back at|unethical|sabotage (?:a|my) (?:co-?worker|colleague|friend)",
        "manipulating people against their interest",
        (
            "It works only while the other person is kept in the dark, and trust rarely returns.",
            "People end up acting against their own good, and the damage comes out later.",
        ),
        (
            "I can help you make an honest request, negotiate fairly or talk about what hurt you.",
            "I can describe common manipulation tactics so that you can recognise and answer them.",
        ),
    ),
)
