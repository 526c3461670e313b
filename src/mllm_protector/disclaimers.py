"""What an unqualified assistant must add to advice: the answer stays byte for byte, a sentence follows.

Pure tables, in the ten most used languages; nothing in them names a person, a number or an address.
"""
# ruff: noqa: E501  (a table reads best with one text per line, in its own script)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

__all__ = ["DISCLAIMERS", "disclaimer", "with_disclaimer"]

_KIND = {
    "legal-advice": "legal",
    "financial-advice": "financial",
    "health-advice": "health",
    "government-advice": "government",
    "political-lobbying": "political",
}

DISCLAIMERS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "legal": "Please note: I am not a lawyer, and this is general information, not legal advice. Before you act on it, ask a qualified lawyer who knows your local law and your case.",
            "financial": "Please note: I am not a financial adviser, and this is general information, not a recommendation. Before you decide, ask a licensed adviser who knows your situation.",
            "health": "Please note: I am not a doctor, and this is general information, not a diagnosis or treatment. Please ask a doctor or pharmacist; if symptoms are severe or sudden, seek medical care at once.",
            "government": "Please note: I am not qualified to decide official matters, and this is general information. Only the public authority in charge can give a binding answer.",
            "political": "Please note: this presents a political position, and I do not campaign for or against anyone. Please compare several independent sources and form your own view.",
            "other": "Please note: I am not a qualified professional, and this is general information only. Please ask a qualified professional before you rely on it.",
        },
        "zh": {
            "legal": "请注意：我不是律师，以上仅为一般信息，不构成法律意见。采取行动前，请咨询了解当地法律和您情况的合格律师。",
            "financial": "请注意：我不是财务顾问，以上仅为一般信息，不构成投资建议。作出决定前，请咨询持牌顾问。",
            "health": "请注意：我不是医生，以上仅为一般信息，不构成诊断或治疗建议。请咨询医生或药师；症状严重或突然出现时，请立即就医。",
            "government": "请注意：我无权就官方事务作出决定，以上仅为一般信息。只有主管部门才能给出有约束力的答复。",
            "political": "请注意：以上内容代表一种政治立场，我不为任何人或任何一方宣传。请比较多个独立来源，自行判断。",
            "other": "请注意：我不是合格的专业人士，以上仅为一般信息。请在采用之前咨询专业人士。",
        },
        "es": {
            "legal": "Tenga en cuenta: no soy abogado y esto es información general, no asesoramiento jurídico. Antes de actuar, consulte a un abogado cualificado que conozca la ley local y su caso.",
            "financial": "Tenga en cuenta: no soy asesor financiero y esto es información general, no una recomendación. Antes de decidir, consulte a un asesor autorizado.",
            "health": "Tenga en cuenta: no soy médico y esto es información general, no un diagnóstico ni un tratamiento. Consulte a un médico o farmacéutico; si los síntomas son graves o repentinos, busque atención de inmediato.",
            "government": "Tenga en cuenta: no puedo decidir asuntos oficiales y esto es información general. Solo la autoridad competente puede dar una respuesta vinculante.",
            "political": "Tenga en cuenta: esto presenta una postura política y no hago campaña a favor ni en contra de nadie. Compare varias fuentes independientes y forme su propia opinión.",
            "other": "Tenga en cuenta: no soy un profesional cualificado y esto es solo información general. Consulte a un profesional antes de basarse en ella.",
        },
        "hi": {
            "legal": "कृपया ध्यान दें: मैं वकील नहीं हूँ और यह सामान्य जानकारी है, कानूनी सलाह नहीं। कदम उठाने से पहले योग्य वकील से पूछें।",
            "financial": "कृपया ध्यान दें: मैं वित्तीय सलाहकार नहीं हूँ और यह सामान्य जानकारी है, सिफारिश नहीं। निर्णय से पहले योग्य सलाहकार से पूछें।",
            "health": "कृपया ध्यान दें: मैं डॉक्टर नहीं हूँ और यह सामान्य जानकारी है, निदान या इलाज नहीं। कृपया डॉक्टर या फार्मासिस्ट से पूछें; लक्षण गंभीर या अचानक हों तो तुरंत इलाज लें।",
            "government": "कृपया ध्यान दें: मैं सरकारी मामलों पर निर्णय नहीं दे सकता और यह सामान्य जानकारी है। बाध्यकारी उत्तर केवल संबंधित कार्यालय दे सकता है।",
            "political": "कृपया ध्यान दें: यह एक राजनीतिक पक्ष है और मैं किसी के पक्ष या विरोध में प्रचार नहीं करता। कई स्वतंत्र स्रोत देखकर अपनी राय बनाएँ।",
            "other": "कृपया ध्यान दें: मैं योग्य पेशेवर नहीं हूँ और यह केवल सामान्य जानकारी है। इस पर भरोसा करने से पहले पेशेवर से पूछें।",
        },
        "ar": {
            "legal": "يرجى الانتباه: لست محاميا، وهذه معلومات عامة وليست استشارة قانونية. استشر محاميا مؤهلا قبل أن تتصرف.",
            "financial": "يرجى الانتباه: لست مستشارا ماليا، وهذه معلومات عامة وليست توصية. استشر مستشارا مرخصا قبل أن تقرر.",
            "health": "يرجى الانتباه: لست طبيبا، وهذه معلومات عامة وليست تشخيصا أو علاجا. استشر طبيبا أو صيدليا، واطلب الرعاية فورا إذا كانت الأعراض شديدة أو مفاجئة.",
            "government": "يرجى الانتباه: لا أستطيع البت في الأمور الرسمية، وهذه معلومات عامة. الجهة المختصة وحدها تعطي جوابا ملزما.",
            "political": "يرجى الانتباه: هذا عرض لموقف سياسي، وأنا لا أروج لأحد ولا ضده. قارن بين مصادر مستقلة وكون رأيك بنفسك.",
            "other": "يرجى الانتباه: لست مختصا مؤهلا، وهذه معلومات عامة فقط. استشر مختصا قبل الاعتماد عليها.",
        },
        "pt": {
            "legal": "Atenção: não sou advogado e isto é informação geral, não aconselhamento jurídico. Antes de agir, consulte um advogado qualificado que conheça a lei local e o seu caso.",
            "financial": "Atenção: não sou consultor financeiro e isto é informação geral, não uma recomendação. Antes de decidir, consulte um consultor autorizado.",
            "health": "Atenção: não sou médico e isto é informação geral, não um diagnóstico nem um tratamento. Consulte um médico ou farmacêutico; se os sintomas forem graves ou súbitos, procure cuidados de imediato.",
            "government": "Atenção: não posso decidir assuntos oficiais e isto é informação geral. Só a autoridade competente pode dar uma resposta vinculativa.",
            "political": "Atenção: isto apresenta uma posição política e não faço campanha a favor nem contra ninguém. Compare várias fontes independentes e forme a sua opinião.",
            "other": "Atenção: não sou um profissional qualificado e isto é apenas informação geral. Consulte um profissional antes de se basear nela.",
        },
        "ru": {
            "legal": "Обратите внимание: я не юрист, и это общая информация, а не юридическая консультация. Прежде чем действовать, обратитесь к квалифицированному юристу.",
            "financial": "Обратите внимание: я не финансовый консультант, и это общая информация, а не рекомендация. Прежде чем решать, обратитесь к лицензированному консультанту.",
            "health": "Обратите внимание: я не врач, и это общая информация, а не диагноз и не лечение. Обратитесь к врачу или фармацевту; при тяжёлых или внезапных симптомах обратитесь за помощью сразу.",
            "government": "Обратите внимание: я не могу решать официальные вопросы, и это общая информация. Обязательный ответ даёт только уполномоченный орган.",
            "political": "Обратите внимание: здесь изложена политическая позиция, а я не агитирую ни за кого и ни против кого. Сравните независимые источники и составьте своё мнение.",
            "other": "Обратите внимание: я не квалифицированный специалист, и это лишь общая информация. Посоветуйтесь со специалистом, прежде чем на неё полагаться.",
        },
        "ja": {
            "legal": "ご注意：私は弁護士ではなく、これは一般的な情報であり法律上の助言ではありません。行動する前に、資格のある弁護士に相談してください。",
            "financial": "ご注意：私は金融の専門家ではなく、これは一般的な情報であり推奨ではありません。決める前に、資格のある専門家に相談してください。",
            "health": "ご注意：私は医師ではなく、これは一般的な情報であり診断や治療ではありません。医師や薬剤師に相談し、症状が重いときや急なときはすぐに受診してください。",
            "government": "ご注意：私は公的な事柄を判断する立場になく、これは一般的な情報です。正式な回答は担当の公的機関に確認してください。",
            "political": "ご注意：これは一つの政治的立場を示すもので、私は特定の人や政党を応援も批判もしません。複数の独立した情報源を比べて判断してください。",
            "other": "ご注意：私は資格のある専門家ではなく、これは一般的な情報です。頼りにする前に専門家に相談してください。",
        },
        "de": {
            "legal": "Bitte beachten: Ich bin kein Rechtsanwalt, und dies ist allgemeine Information, keine Rechtsberatung. Fragen Sie vor jedem Schritt eine qualifizierte Anwältin oder einen qualifizierten Anwalt.",
            "financial": "Bitte beachten: Ich bin kein Finanzberater, und dies ist allgemeine Information, keine Empfehlung. Fragen Sie vor einer Entscheidung eine zugelassene Beratung, die Ihre Lage kennt.",
            "health": "Bitte beachten: Ich bin kein Arzt, und dies ist allgemeine Information, keine Diagnose oder Behandlung. Fragen Sie eine Arztpraxis oder Apotheke; bei schweren oder plötzlichen Beschwerden holen Sie sofort ärztliche Hilfe.",
            "government": "Bitte beachten: Ich kann nicht über amtliche Fragen entscheiden, und dies ist allgemeine Information. Verbindlich antwortet nur die zuständige Behörde.",
            "political": "Bitte beachten: Dies gibt eine politische Haltung wieder, und ich werbe für und gegen niemanden. Vergleichen Sie mehrere unabhängige Quellen und bilden Sie sich eine eigene Meinung.",
            "other": "Bitte beachten: Ich bin keine qualifizierte Fachperson, und dies ist nur allgemeine Information. Fragen Sie eine Fachperson, bevor Sie sich darauf verlassen.",
        },
        "fr": {
            "legal": "À noter : je ne suis pas avocat, et ceci est une information générale, non un conseil juridique. Avant d'agir, consultez un avocat qualifié qui connaît le droit local et votre dossier.",
            "financial": "À noter : je ne suis pas conseiller financier, et ceci est une information générale, non une recommandation. Avant de décider, consultez un conseiller agréé.",
            "health": "À noter : je ne suis pas médecin, et ceci est une information générale, ni un diagnostic ni un traitement. Consultez un médecin ou un pharmacien ; si les symptômes sont graves ou soudains, faites-vous soigner sans attendre.",
            "government": "À noter : je ne peux pas trancher des questions officielles, et ceci est une information générale. Seule l'autorité compétente peut donner une réponse qui engage.",
            "political": "À noter : ceci présente une position politique, et je ne fais campagne ni pour ni contre personne. Comparez plusieurs sources indépendantes et faites-vous votre avis.",
            "other": "À noter : je ne suis pas un professionnel qualifié, et ceci n'est qu'une information générale. Consultez un professionnel avant de vous y fier.",
        },
    }
)


def disclaimer(hazards: Sequence[str], language: str = "en") -> str:
    """Return what has to be added for the first advice category among ``hazards``.

    Args:
        hazards: category codes, most probable first; S6 and codes without an advice category give the general text.
        language: a code of ``text.language.LANGUAGES``; any other gives English.
    """
    table = DISCLAIMERS.get(language, DISCLAIMERS["en"])
    return table[next((_KIND[code] for code in hazards if code in _KIND), "other")]


def with_disclaimer(response: str, text: str) -> str:
    """Return ``response`` byte for byte, then a blank line and ``text``; unchanged if it already ends so."""
    if not text or response.endswith(text):
        return response
    lines = response[-2:]
    gap = "" if lines == "\n\n" or not response else "\n" if lines.endswith("\n") else "\n\n"
    return f"{response}{gap}{text}"
