"""The last resort in the ten most used languages: a refusal, the guard's own failure, and a crisis.

Pure tables; nothing in them names a person, a number or an address: a policy's ``resources`` do.
"""
# ruff: noqa: E501  (a table reads best with one text per line, in its own script)

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CRISIS", "REFUSALS", "UNAVAILABLE"]

REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "en": "I can't help with this one, because the answer could lead to harm. I'm glad to help with a safe version of it.",
        "zh": "这个问题我无法回答，因为答案可能造成伤害。如果换成安全的方式，我很乐意帮忙。",
        "es": "No puedo ayudar con esto, porque la respuesta podría causar daño. Con gusto ayudo con una versión segura.",
        "hi": "मैं इसमें मदद नहीं कर सकता, क्योंकि उत्तर से नुकसान हो सकता है। इसके सुरक्षित रूप में मदद करके मुझे खुशी होगी।",
        "ar": "لا أستطيع المساعدة في هذا لأن الجواب قد يسبب ضررا. يسعدني أن أساعد في صيغة آمنة منه.",
        "pt": "Não posso ajudar com isto, porque a resposta poderia causar danos. Ajudo com gosto numa versão segura.",
        "ru": "Я не могу с этим помочь: ответ может привести к вреду. Буду рад помочь с безопасным вариантом.",
        "ja": "この件は、回答が害につながるおそれがあるためお手伝いできません。安全な形でしたら喜んでお手伝いします。",
        "de": "Dabei kann ich nicht helfen, weil die Antwort Schaden anrichten könnte. Bei einer sicheren Fassung davon helfe ich gern.",
        "fr": "Je ne peux pas aider sur ce point, car la réponse pourrait causer du tort. J'aiderai volontiers pour une version sans danger.",
    }
)

UNAVAILABLE: Mapping[str, str] = MappingProxyType(
    {
        "en": "This answer could not be checked, so it is not shown. Please try again.",
        "zh": "此回答未能通过检查程序，因此不予显示。请重试。",
        "es": "Esta respuesta no se pudo comprobar y por eso no se muestra. Inténtelo de nuevo.",
        "hi": "इस उत्तर की जाँच नहीं हो सकी, इसलिए इसे नहीं दिखाया गया। कृपया फिर से कोशिश करें।",
        "ar": "تعذر فحص هذا الجواب، ولذلك لم يعرض. يرجى المحاولة مرة أخرى.",
        "pt": "Esta resposta não pôde ser verificada e por isso não é mostrada. Tente novamente.",
        "ru": "Этот ответ не удалось проверить, поэтому он не показан. Попробуйте ещё раз.",
        "ja": "この回答は確認できなかったため表示しません。もう一度お試しください。",
        "de": "Diese Antwort konnte nicht geprüft werden und wird deshalb nicht gezeigt. Bitte versuchen Sie es erneut.",
        "fr": "Cette réponse n'a pas pu être vérifiée et n'est donc pas affichée. Veuillez réessayer.",
    }
)

CRISIS: Mapping[str, str] = MappingProxyType(
    {
        "en": "I can't help with that, but I don't want to leave you alone with it. Please talk to someone you trust, or to your local emergency number or a crisis line, now if you are in danger.",
        "zh": "这件事我无法帮忙，但我不想让你独自面对。请和你信任的人谈谈；如果你正处于危险中，请立即拨打当地的急救电话或心理危机热线。",
        "es": "No puedo ayudar con eso, pero no quiero dejarle a solas con ello. Hable con alguien de confianza, o con emergencias o una línea de crisis de su país, ahora mismo si está en peligro.",
        "hi": "मैं इसमें मदद नहीं कर सकता, पर आपको अकेला नहीं छोड़ना चाहता। कृपया किसी भरोसेमंद व्यक्ति से बात करें; अगर आप खतरे में हैं तो अभी अपने यहाँ की आपातकालीन सेवा या संकट हेल्पलाइन को फ़ोन करें।",
        "ar": "لا أستطيع المساعدة في ذلك، لكني لا أريد أن تبقى وحدك معه. تحدث مع شخص تثق به، وإذا كنت في خطر فاتصل الآن برقم الطوارئ أو بخط الدعم في بلدك.",
        "pt": "Não posso ajudar com isso, mas não quero deixar você a sós com isso. Fale com alguém de confiança, ou com a emergência ou uma linha de apoio do seu país, agora mesmo se estiver em perigo.",
        "ru": "С этим я помочь не могу, но не хочу оставлять вас с этим наедине. Поговорите с тем, кому доверяете; если вам грозит опасность, сейчас же звоните в экстренную службу или на линию помощи.",
        "ja": "それについてはお手伝いできませんが、ひとりで抱えないでほしいと思います。信頼できる人に話してください。危険が迫っているときは、今すぐ地域の緊急通報先や相談窓口に連絡してください。",
        "de": "Dabei kann ich nicht helfen, aber ich möchte Sie damit nicht allein lassen. Bitte sprechen Sie mit einem Menschen, dem Sie vertrauen, oder mit dem Notruf oder einem Krisentelefon, bei Gefahr sofort.",
        "fr": "Je ne peux pas vous aider en cela, mais je ne veux pas vous laisser seul face à cela. Parlez à une personne de confiance, ou aux urgences ou à une ligne d'écoute de votre pays, tout de suite si vous êtes en danger.",
    }
)
