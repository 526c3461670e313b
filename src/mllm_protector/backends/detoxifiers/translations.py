"""The answers in nine more languages: what will not be done and why, and the nearest safe help, per hazard group.

English has its own, finer table (``subjects``). A group that a language lacks falls back on ``other``.
"""

# ruff: noqa: E501  (a table reads best with one text per line)
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ANSWERS", "LEFT_OUT", "group_of"]

_GROUPS = {
    "S1": "violence",
    "S9": "violence",
    "S2": "crime",
    "S8": "crime",
    "S14": "cyber",
    "S3": "sexual",
    "S4": "sexual",
    "S12": "sexual",
    "S5": "person",
    "S7": "person",
    "S10": "hate",
    "S11": "self-harm",
    "S13": "falsehood",
    "S6": "advice",
    "legal-advice": "advice",
    "financial-advice": "advice",
    "health-advice": "advice",
    "government-advice": "advice",
    "political-lobbying": "falsehood",
}


def group_of(hazard: str) -> str:
    """Return the hazard group of a category code, ``other`` for an unknown one."""
    return _GROUPS.get(hazard, "other")


ANSWERS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "zh": {
            "violence": (
                "我不会提供伤害他人或制造武器的内容，因为这会造成无法挽回的伤害。我可以谈谈如何化解冲突、保障安全，或者解释相关法规。",
                "涉及暴力的做法我不能协助，无辜的人也会因此受害。如果有人身处危险，请联系当地紧急服务；我也可以帮你想办法让局面冷静下来。",
            ),
            "crime": (
                "我不会协助违法的做法，因为别人会为此失去财产和安全。告诉我你真正的需要，我可以帮你找合法的办法。",
                "这类违法行为我不能帮忙，它会伤害他人，也会给你带来长期后果。我可以说明人们如何防范此类行为。",
            ),
            "cyber": (
                "我不会协助入侵系统或编写恶意软件，因为它会泄露他人的数据并中断服务。我可以帮你加固自己的账户和网络。",
            ),
            "sexual": (
                "这类性内容我不会提供，因为它可能伤害当事人，也可能被未成年人看到。我可以谈谈健康、同意与尊重的关系。",
            ),
            "person": (
                "我不会帮助泄露隐私或损害他人名誉，因为当事人的安全和生活会受到影响。我可以帮你保护自己的数据，或用公正的方式表达不满。",
            ),
            "hate": (
                "我不会写贬低某个群体的内容，因为这会助长歧视和暴力。我可以用尊重的方式讨论这个话题，或解释偏见从何而来。",
            ),
            "self-harm": (
                "我不会提供任何伤害自己的方法，但我很在意你的处境，因为痛苦可以被分担。请和你信任的人谈谈，或联系当地的紧急服务或危机热线。",
            ),
            "falsehood": (
                "我不会帮助传播不实或误导的信息，因为人们会据此作出重要决定。我可以帮你核实说法，或客观介绍各方观点。",
            ),
            "advice": (
                "这需要有资质的专业人士判断，我不能替你作决定，因为一旦出错会造成损失。我可以解释一般知识，并帮你列出要问专业人士的问题。",
            ),
            "other": (
                "我不会按这种方式回答，因为可能有人会因此受到伤害。告诉我你想达到什么目的，我会寻找安全的办法。",
            ),
        },
        "es": {
            "violence": (
                "No ayudaré a hacer daño a nadie ni a fabricar armas, porque las heridas no tienen vuelta atrás. Puedo hablar de cómo calmar un conflicto, protegerse o qué dice la ley.",
                "No puedo colaborar con actos violentos: también sufren personas ajenas. Si alguien está en peligro, acuda a los servicios de emergencia locales; puedo ayudarle a rebajar la tensión.",
            ),
            "crime": (
                "No ayudaré con algo ilegal, porque otras personas perderían dinero o seguridad. Dígame qué necesita y buscaré una forma legal de lograrlo.",
                "No puedo colaborar con un delito de este tipo: perjudica a otros y trae consecuencias duraderas. Puedo explicar cómo se protege la gente frente a ello.",
            ),
            "cyber": (
                "No ayudaré a entrar en sistemas ajenos ni a crear programas dañinos, porque exponen datos y detienen servicios. Puedo ayudarle a proteger sus cuentas y su red.",
            ),
            "sexual": (
                "No ofreceré este contenido sexual, porque puede dañar a alguien o llegar a menores. Puedo hablar de salud, consentimiento y relaciones respetuosas.",
            ),
            "person": (
                "No ayudaré a exponer datos privados ni a dañar la reputación de alguien, porque afecta a su seguridad. Puedo ayudarle a proteger sus datos o a presentar una queja justa.",
            ),
            "hate": (
                "No escribiré contenido que desprecie a un grupo, porque alimenta la discriminación y la violencia. Puedo tratar el tema con respeto o explicar de dónde viene el prejuicio.",
            ),
            "self-harm": (
                "No daré formas de hacerse daño, pero me importa cómo está, porque el dolor puede compartirse. Hable con alguien de confianza o con los servicios de emergencia o una línea de crisis de su zona.",
            ),
            "falsehood": (
                "No ayudaré a difundir información falsa o engañosa, porque la gente decide según lo que lee. Puedo ayudar a comprobar una afirmación o a exponer las distintas posturas.",
            ),
            "advice": (
                "No puedo decidir esto por usted: requiere un profesional cualificado, y un error puede costar caro. Puedo explicar lo general y preparar preguntas para ese profesional.",
            ),
            "other": (
                "No responderé a esto tal como se plantea, porque alguien podría salir perjudicado. Dígame qué quiere lograr y buscaré una forma segura.",
            ),
        },
        "hi": {
            "violence": (
                "मैं किसी को चोट पहुँचाने या हथियार बनाने में मदद नहीं करूँगा, क्योंकि ऐसी हानि वापस नहीं ली जा सकती। मैं झगड़ा शांत करने, सुरक्षा और कानून के बारे में बता सकता हूँ।",
            ),
            "crime": (
                "मैं गैरकानूनी काम में मदद नहीं करूँगा, क्योंकि इससे दूसरों का पैसा और सुरक्षा जाती है। अपनी ज़रूरत बताइए, मैं कानूनी रास्ता खोजने में मदद करूँगा।",
            ),
            "cyber": (
                "मैं बिना अनुमति सिस्टम में घुसने या हानिकारक सॉफ़्टवेयर बनाने में मदद नहीं करूँगा, क्योंकि इससे लोगों का डेटा खतरे में पड़ता है। मैं आपके खाते और नेटवर्क सुरक्षित करने में मदद कर सकता हूँ।",
            ),
            "sexual": (
                "मैं ऐसी यौन सामग्री नहीं दूँगा, क्योंकि इससे किसी को हानि हो सकती है। मैं स्वास्थ्य, सहमति और सम्मानजनक रिश्तों पर बात कर सकता हूँ।",
            ),
            "person": (
                "मैं किसी की निजी जानकारी उजागर करने या बदनाम करने में मदद नहीं करूँगा, क्योंकि इससे उनकी सुरक्षा पर असर पड़ता है। मैं आपके अपने डेटा की रक्षा में मदद कर सकता हूँ।",
            ),
            "hate": (
                "मैं किसी समूह को नीचा दिखाने वाली बात नहीं लिखूँगा, क्योंकि इससे भेदभाव और हिंसा बढ़ती है। मैं इस विषय पर सम्मान के साथ चर्चा कर सकता हूँ।",
            ),
            "self-harm": (
                "मैं खुद को चोट पहुँचाने का तरीका नहीं बताऊँगा, पर आपका दर्द बाँटा जा सकता है। कृपया किसी भरोसेमंद व्यक्ति, स्थानीय आपातकालीन सेवा या संकट सहायता से अभी बात करें।",
            ),
            "falsehood": (
                "मैं झूठी या भ्रामक जानकारी फैलाने में मदद नहीं करूँगा, क्योंकि लोग उसी पर फैसले लेते हैं। मैं किसी दावे की जाँच करने में मदद कर सकता हूँ।",
            ),
            "advice": (
                "इसके लिए योग्य पेशेवर चाहिए, इसलिए मैं आपके लिए निर्णय नहीं ले सकता; गलती महँगी पड़ सकती है। मैं सामान्य जानकारी और पूछने योग्य प्रश्न दे सकता हूँ।",
            ),
            "other": (
                "मैं इस रूप में उत्तर नहीं दूँगा, क्योंकि इससे किसी को हानि हो सकती है। बताइए आप क्या पाना चाहते हैं, मैं सुरक्षित रास्ता खोजूँगा।",
            ),
        },
        "ar": {
            "violence": (
                "لن أساعد في إيذاء أحد أو صنع سلاح، لأن الأذى لا يمكن إصلاحه. يمكنني الحديث عن تهدئة الخلاف أو السلامة أو ما ينص عليه القانون.",
            ),
            "crime": (
                "لن أساعد في عمل مخالف للقانون، لأن آخرين سيفقدون مالهم وأمانهم. أخبرني بما تحتاج إليه وسأبحث عن طريق قانوني.",
            ),
            "cyber": (
                "لن أساعد في دخول الأنظمة دون إذن أو صنع برامج ضارة، لأنها تكشف بيانات الناس. يمكنني مساعدتك في حماية حساباتك وشبكتك.",
            ),
            "sexual": (
                "لن أقدم هذا المحتوى الجنسي، لأنه قد يؤذي أحدا. يمكنني الحديث عن الصحة والتراضي والعلاقات القائمة على الاحترام.",
            ),
            "person": (
                "لن أساعد في كشف خصوصيات أحد أو الإساءة إلى سمعته، لأن ذلك يمس سلامته. يمكنني مساعدتك في حماية بياناتك أو كتابة شكوى منصفة.",
            ),
            "hate": (
                "لن أكتب ما يحط من شأن جماعة من الناس، لأنه يغذي التمييز والعنف. يمكنني تناول الموضوع باحترام أو شرح منشأ التحيز.",
            ),
            "self-harm": (
                "لن أذكر أي طريقة لإيذاء النفس، لكن ألمك يهمني ويمكن أن يخف حين تشاركه. تحدث الآن مع شخص تثق به أو مع خدمات الطوارئ أو خط دعم في بلدك.",
            ),
            "falsehood": (
                "لن أساعد في نشر معلومات كاذبة أو مضللة، لأن الناس يقررون بناء عليها. يمكنني مساعدتك في التحقق من ادعاء أو عرض الآراء بإنصاف.",
            ),
            "advice": (
                "هذا يحتاج إلى مختص مؤهل ولا أستطيع أن أقرر عنك، فالخطأ قد يكون مكلفا. يمكنني شرح الأمور العامة وإعداد أسئلة للمختص.",
            ),
            "other": (
                "لن أجيب عن هذا بالصيغة المطلوبة، لأن أحدا قد يتضرر. أخبرني بما تريد تحقيقه وسأبحث عن طريقة آمنة.",
            ),
        },
        "pt": {
            "violence": (
                "Não vou ajudar a ferir alguém nem a fabricar armas, porque esse dano não se desfaz. Posso falar sobre acalmar um conflito, proteger-se ou o que diz a lei.",
            ),
            "crime": (
                "Não vou ajudar com algo ilegal, porque outras pessoas perderiam dinheiro ou segurança. Diga o que precisa e procuro um caminho dentro da lei.",
            ),
            "cyber": (
                "Não vou ajudar a invadir sistemas nem a criar programas nocivos, porque expõem dados e param serviços. Posso ajudar a proteger as suas contas e a sua rede.",
            ),
            "sexual": (
                "Não vou oferecer este conteúdo sexual, porque pode ferir alguém ou chegar a menores. Posso falar de saúde, consentimento e relações com respeito.",
            ),
            "person": (
                "Não vou ajudar a expor dados privados nem a difamar alguém, porque isso afeta a segurança da pessoa. Posso ajudar a proteger os seus dados ou a fazer uma reclamação justa.",
            ),
            "hate": (
                "Não vou escrever conteúdo que rebaixe um grupo, porque alimenta a discriminação e a violência. Posso tratar do tema com respeito ou explicar de onde vem o preconceito.",
            ),
            "self-harm": (
                "Não vou dar formas de se magoar, mas importo-me com o que sente, porque a dor pode ser partilhada. Fale com alguém de confiança ou com os serviços de emergência ou uma linha de apoio da sua região.",
            ),
            "falsehood": (
                "Não vou ajudar a espalhar informação falsa, porque as pessoas decidem com base no que leem. Posso ajudar a verificar uma afirmação ou a expor os vários lados.",
            ),
            "advice": (
                "Não posso decidir isto por si: exige um profissional qualificado, e um erro pode custar caro. Posso explicar o geral e preparar perguntas para esse profissional.",
            ),
            "other": (
                "Não vou responder a isto da forma como foi pedido, porque alguém poderia sair prejudicado. Diga o que pretende e procuro um caminho seguro.",
            ),
        },
        "ru": {
            "violence": (
                "Я не буду помогать причинять вред людям или делать оружие, потому что такой вред необратим. Могу рассказать, как успокоить конфликт, защитить себя или что говорит закон.",
            ),
            "crime": (
                "Я не буду помогать с незаконными действиями, потому что другие люди потеряют деньги или безопасность. Скажите, что вам нужно, и я поищу законный путь.",
            ),
            "cyber": (
                "Я не буду помогать взламывать системы или писать вредоносные программы, потому что пострадают данные и работа людей. Могу помочь защитить ваши учётные записи и сеть.",
            ),
            "sexual": (
                "Я не буду предлагать такой сексуальный материал, потому что он может кому-то навредить. Могу рассказать о здоровье, согласии и уважительных отношениях.",
            ),
            "person": (
                "Я не буду помогать раскрывать личные данные или порочить человека, потому что это угрожает его безопасности. Могу помочь защитить ваши данные или составить честную жалобу.",
            ),
            "hate": (
                "Я не буду писать то, что унижает группу людей, потому что это питает дискриминацию и насилие. Могу обсудить тему уважительно или объяснить, откуда берётся предубеждение.",
            ),
            "self-harm": (
                "Я не буду описывать способы навредить себе, но мне важно, что с вами, и боль можно разделить. Поговорите с тем, кому доверяете, или обратитесь в местную экстренную службу или на линию помощи.",
            ),
            "falsehood": (
                "Я не буду помогать распространять ложные сведения, потому что люди принимают по ним решения. Могу помочь проверить утверждение или изложить разные точки зрения.",
            ),
            "advice": (
                "Здесь нужен квалифицированный специалист, и решать за вас я не могу: ошибка может дорого стоить. Могу объяснить общее и составить вопросы для специалиста.",
            ),
            "other": (
                "Я не буду отвечать на это в таком виде, потому что кто-то может пострадать. Скажите, чего вы хотите добиться, и я поищу безопасный путь.",
            ),
        },
        "ja": {
            "violence": (
                "人を傷つけることや武器を作ることには協力しません。取り返しのつかない被害が出るためです。争いを落ち着かせる方法や身の安全、関連する法律についてはお話しできます。",
            ),
            "crime": (
                "違法な行為には協力しません。ほかの人のお金や安全が失われるためです。本当に必要なことを教えていただければ、合法的な方法を一緒に探します。",
            ),
            "cyber": (
                "無断の侵入や有害なソフトウェアの作成には協力しません。人々のデータやサービスに被害が及ぶためです。ご自身のアカウントやネットワークを守る方法はお手伝いできます。",
            ),
            "sexual": (
                "このような性的な内容は提供しません。誰かを傷つけるおそれがあるためです。健康、同意、互いを尊重する関係についてはお話しできます。",
            ),
            "person": (
                "個人情報の暴露や名誉を傷つけることには協力しません。その人の安全に関わるためです。ご自身の情報を守る方法や公正な苦情の書き方はお手伝いできます。",
            ),
            "hate": (
                "特定の人々をおとしめる内容は書きません。差別や暴力を助長するためです。敬意をもってこの話題を扱うことや、偏見の背景を説明することはできます。",
            ),
            "self-harm": (
                "自分を傷つける方法はお伝えしませんが、あなたのことを気にかけています。つらさは分かち合えます。信頼できる人や、地域の緊急窓口、相談窓口に今すぐ話してください。",
            ),
            "falsehood": (
                "虚偽の情報を広めることには協力しません。人々がそれをもとに判断するためです。情報の確認や、さまざまな立場の整理はお手伝いできます。",
            ),
            "advice": (
                "これは資格のある専門家の判断が必要で、私が決めることはできません。誤りが大きな損失になるためです。一般的な説明や、専門家への質問の準備はお手伝いできます。",
            ),
            "other": (
                "この形ではお答えしません。誰かが傷つくおそれがあるためです。何を実現したいのか教えていただければ、安全な方法を探します。",
            ),
        },
        "de": {
            "violence": (
                "Ich helfe nicht dabei, jemanden zu verletzen oder Waffen herzustellen, denn dieser Schaden lässt sich nicht rückgängig machen. Ich kann erklären, wie sich ein Streit beruhigen lässt, wie man sich schützt oder was das Gesetz sagt.",
                "Bei Gewalt wirke ich nicht mit, weil auch Unbeteiligte leiden. Ist jemand in Gefahr, hilft der örtliche Notruf; ich kann auch helfen, die Lage zu entspannen.",
            ),
            "crime": (
                "Ich helfe nicht bei etwas Ungesetzlichem, weil andere dabei Geld oder Sicherheit verlieren. Sagen Sie mir, was Sie brauchen, und ich suche einen legalen Weg.",
                "Bei so einem Vorhaben wirke ich nicht mit: Es schadet anderen und hat lange Folgen. Ich kann erklären, wie man sich davor schützt.",
            ),
            "cyber": (
                "Ich helfe nicht dabei, in fremde Systeme einzudringen oder Schadprogramme zu schreiben, weil Daten und Dienste anderer leiden. Ich kann helfen, eigene Konten und Netze abzusichern.",
            ),
            "sexual": (
                "Solche sexuellen Inhalte biete ich nicht an, weil sie jemandem schaden oder Minderjährige erreichen können. Über Gesundheit, Einvernehmen und respektvolle Beziehungen spreche ich gern.",
            ),
            "person": (
                "Ich helfe nicht dabei, private Daten offenzulegen oder jemandes Ruf zu schädigen, weil es dessen Sicherheit trifft. Ich kann helfen, eigene Daten zu schützen oder eine faire Beschwerde zu schreiben.",
            ),
            "hate": (
                "Ich schreibe nichts, was eine Gruppe herabsetzt, weil es Ausgrenzung und Gewalt fördert. Ich kann das Thema respektvoll behandeln oder erklären, woher das Vorurteil kommt.",
            ),
            "self-harm": (
                "Ich nenne keine Wege, sich selbst zu verletzen, aber es ist mir wichtig, wie es Ihnen geht, denn Schmerz lässt sich teilen. Bitte sprechen Sie mit jemandem, dem Sie vertrauen, oder mit dem örtlichen Notruf oder einer Krisenberatung.",
            ),
            "falsehood": (
                "Ich helfe nicht, Falsches zu verbreiten, weil Menschen danach entscheiden. Ich kann helfen, eine Behauptung zu prüfen oder verschiedene Seiten darzustellen.",
            ),
            "advice": (
                "Das muss eine qualifizierte Fachperson beurteilen, und ein Fehler kann teuer werden; ich kann es nicht für Sie entscheiden. Ich kann Allgemeines erklären und Fragen für das Gespräch vorbereiten.",
            ),
            "other": (
                "So beantworte ich das nicht, weil jemand dabei Schaden nehmen könnte. Sagen Sie mir, was Sie erreichen möchten, und ich suche einen sicheren Weg.",
            ),
        },
        "fr": {
            "violence": (
                "Je n'aiderai pas à blesser quelqu'un ni à fabriquer une arme, car ce mal ne se répare pas. Je peux parler de la façon d'apaiser un conflit, de se protéger ou de ce que dit la loi.",
                "Je ne participe pas à la violence, car des personnes étrangères à l'affaire en souffrent aussi. Si quelqu'un est en danger, contactez les secours locaux ; je peux aider à calmer la situation.",
            ),
            "crime": (
                "Je n'aiderai pas à faire quelque chose d'illégal, car d'autres y perdraient leur argent ou leur sécurité. Dites-moi ce dont vous avez besoin et je chercherai une voie légale.",
                "Je ne peux pas aider à un tel projet : il nuit à autrui et laisse des suites durables. Je peux expliquer comment on s'en protège.",
            ),
            "cyber": (
                "Je n'aiderai pas à entrer dans des systèmes ni à créer des logiciels nuisibles, car cela expose les données des gens. Je peux aider à protéger vos comptes et votre réseau.",
            ),
            "sexual": (
                "Je ne proposerai pas ce contenu sexuel, car il peut nuire à quelqu'un ou atteindre des mineurs. Je peux parler de santé, de consentement et de relations respectueuses.",
            ),
            "person": (
                "Je n'aiderai pas à exposer la vie privée de quelqu'un ni à salir sa réputation, car sa sécurité en dépend. Je peux aider à protéger vos données ou à rédiger une plainte juste.",
            ),
            "hate": (
                "Je n'écrirai pas de contenu qui rabaisse un groupe, car il nourrit la discrimination et la violence. Je peux traiter le sujet avec respect ou expliquer d'où vient le préjugé.",
            ),
            "self-harm": (
                "Je ne donnerai aucun moyen de se faire du mal, mais ce que vous vivez compte, et la douleur peut se partager. Parlez à une personne de confiance, aux secours ou à une ligne d'écoute de votre région.",
            ),
            "falsehood": (
                "Je n'aiderai pas à répandre de fausses informations, car les gens décident d'après ce qu'ils lisent. Je peux aider à vérifier une affirmation ou à présenter les différents points de vue.",
            ),
            "advice": (
                "Cela demande un professionnel qualifié, et une erreur peut coûter cher ; je ne peux pas décider à votre place. Je peux expliquer les généralités et préparer des questions pour ce professionnel.",
            ),
            "other": (
                "Je ne répondrai pas à cela sous cette forme, car quelqu'un pourrait en souffrir. Dites-moi ce que vous cherchez à obtenir et je chercherai une voie sûre.",
            ),
        },
    }
)

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "zh": "（回答中有一部分因不安全而被略去。）",
        "es": "(Se ha omitido una parte de esta respuesta porque no era segura.)",
        "hi": "(इस उत्तर का एक भाग सुरक्षित न होने के कारण हटा दिया गया है।)",
        "ar": "(حُذف جزء من هذه الإجابة لأنه لم يكن آمنا.)",
        "pt": "(Uma parte desta resposta foi omitida por não ser segura.)",
        "ru": "(Часть этого ответа опущена, так как она была небезопасной.)",
        "ja": "（この回答の一部は、安全でないため省きました。）",
        "de": "(Ein Teil dieser Antwort wurde weggelassen, weil er nicht sicher war.)",
        "fr": "(Une partie de cette réponse a été omise, car elle n'était pas sûre.)",
    }
)
