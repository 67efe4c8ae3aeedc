"""Words by which the redaction of tickets tells names from what is none, folded."""

from __future__ import annotations


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Too common to tell anybody by them, and needed to understand a text.
PARTICLES = _listed(
    """
    al bin da das de del den der di do dos du e el i ibn la las le les los of the van vom von y zu
    zum zur
    """
)
TITLES = _listed(
    """
    mr mrs ms mx dr prof herr frau fraulein monsieur madame mme mlle sr sra srta senor senora
    senorita senhor senhora
    """
)
# Words that many are called by: known in small letters only.
ALSO_NAMES = _listed("april august grace june mark may rose will")
# Capitalised words that are nobody's name; those of the rules are known too.
COMMON = _listed(
    """
    a about after again all also although always am an and another any anything are as at be
    because been before both but by can could did do does during each even every everything
    finally first for from get got had has have he hello help her here hey hi his how however i if
    in instead is it its just last later maybe me my never next no not nothing now of off often ok
    on once one only or other our out please quite regards second she since so some something
    sometimes soon still such than thank thanks that the their them then there these they this
    those though to too two until up us usually very was we were what when where whether which
    while who why with without would yes yesterday yet you your
    monday tuesday wednesday thursday friday saturday sunday january february march july september
    october november december english french german spanish portuguese algebra geometry
    mathematics maths math physics chemistry biology history geography science literature music
    robotics class classes student students teacher teachers school parents support
    pdf url html csv zip gps usb wifi wlan ios mac windows android chrome firefox safari edge zoom
    teams moodle google youtube word excel powerpoint ipad iphone chromebook lms sso
    aber alle also am auch auf aus bei bitte da danach danke dann das der deshalb die dies diese
    dieser dieses doch ein eine er es gestern guten habe haben hallo hat heute ich ihr ihre in ist
    jetzt kann konnen leider man mein meine mit nach nicht noch oder ohne schon seit sie sind so
    tag und vielleicht vor wann warum was weil wenn wer wie wir wo zu
    alors apres aujourd aussi avant avec bonjour ca car ce cela cet cette ces comme comment dans
    depuis des donc elle elles en encore est et hier il ils impossible j jamais je l la le les
    lors ma mais mes merci moi mon ne non nous on ou oui par pas personne pour pourquoi puis quand
    que quel quelle qui quoi rien sans si son sur tous tout toutes tres un une votre vos vous y
    ademas ahora al algo antes asi ayer buenas buenos cada como con cual cuando de desde despues
    donde ella ellos el en entonces es esta estas este esto estos estoy favor gracias hace hasta
    hay hola hoy la las les lo los me mi mis nadie ninguno no nos nunca o para pero por porque
    puedo que quien quiero se si siempre sin su sus tambien tengo todo todos un una usted ya yo
    agora alguem ainda antes ao as boa bom com da de depois desde ela ele eles em entao essa esse
    esta este estou eu foi isso ja mas meu minha muito na nao nem ninguem no nos o obrigada
    obrigado ola onde ontem os para pela pelo por porque posso pra quando que quem quero se sem
    sempre ser seu so sou sua tambem tem tenho tudo um uma voce voces
    """
)
