"""The words that the rules know, in English, French, German, Spanish and Portuguese.

Label → weight → phrases, separated by commas. They are folded as texts are (`lake.tickets.rules`):
case, accents and apostrophes do not matter. A change of any of them is a new VERSION.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = "rules-1"
Words = Mapping[str, Mapping[int, str]]

CATEGORY_WORDS: Words = {
    "wellbeing": {
        # Weighs more than all else that a text may be about.
        20: """
            kill myself, hurt myself, harm myself, suicide, suicidal, end my life, want to die,
            self harm, abused, being bullied, threatened me, me suicider, me tuer, umbringen,
            selbstmord, suizid, matarme, suicidarme, suicidio, me matar, suicídio, harcelé,
            harcelée, gemobbt, acoso, bullying, mobbing, harcèlement, intimidação
        """,
        4: """
            bullied, bully, depressed, depression, anxiety, anxious, panic attack, panic attacks,
            overwhelmed, burnout, burned out, can't sleep, cannot sleep, lonely, scared, afraid,
            unsafe, counsellor, counselor, mental health, stressed, grief, my mother died,
            my father died, déprimé, déprimée, angoisse, anxieux, anxieuse, peur, stressé, stressée,
            depressiv, angst, einsam, überfordert, seelsorge, deprimido, deprimida, ansiedad,
            ansiedade, miedo, medo, estresado, estresada, estressado, estressada, soledad
        """,
    },
    "access": {
        4: """
            log in, login, log into, logging in, logged out, locked out, password, passwords,
            sign in, signing in, sign into, unknown user, user name, username, account locked,
            two factor, verification code, access denied, no access, permission denied,
            reset link, mot de passe, me connecter, connexion, identifiant, identifiants,
            accès refusé, passwort, kennwort, anmelden, einloggen, anmeldung geht nicht, zugang,
            zugriff, benutzername, contraseña, iniciar sesión, acceder, usuario desconocido,
            senha, entrar na conta, fazer login, não consigo entrar
        """,
        2: """
            access, account, accounts, locked, blocked, permission, permissions, compte, accès,
            konto, gesperrt, cuenta, acceso, bloqueada, bloqueado, conta, acesso
        """,
    },
    "billing": {
        4: """
            invoice, invoices, refund, refunds, refunded, payment, payments, paid, tuition, fee,
            fees, charged, charged twice, overcharged, credit card, receipt, billing, scholarship,
            facture, factures, remboursement, paiement, payé, frais, bourse, rechnung, rechnungen,
            rückerstattung, zahlung, bezahlt, gebühr, gebühren, stipendium, factura, facturas,
            reembolso, pago, pagado, cuota, cuotas, beca, fatura, faturas, pagamento, paguei,
            mensalidade, bolsa de estudos
        """,
        2: "price, prices, cost, costs, money, prix, argent, preis, geld, precio, dinero, preço",
    },
    "grades": {
        4: """
            grade, grades, graded, grading, regrade, wrong score, score, scores, scored, marks,
            my mark, final mark, gpa, result, results, marked wrong, points missing, note finale,
            ma note, mes notes, notes, notation, résultat, résultats, barème, noten, meine note,
            bewertung, benotet, punktzahl, ergebnis, ergebnisse, calificación, calificaciones,
            mi nota, puntaje, puntuación, resultado, resultados, minha nota, notas, pontuação
        """,
        2: """
            points, point, feedback, marked, correction, corrected, percent, passed, failed,
            note, points manquants, punkte, korrektur, nota, puntos, corregido, pontos, correção
        """,
    },
    "schedule": {
        4: """
            deadline, deadlines, due date, due dates, extension, timetable, schedule, reschedule,
            rescheduled, exam date, exam time, absence, absent, sick, late submission, calendar,
            délai, date limite, emploi du temps, échéance, report, absente, malade, frist,
            abgabefrist, stundenplan, verschieben, termin, termine, abwesend, krank, plazo,
            fecha límite, horario, horarios, aplazar, ausencia, ausente, enfermo, enferma, prazo,
            horário, horários, adiar, falta, faltas, doente
        """,
        2: """
            date, dates, tomorrow, today, week, exam, exams, demain, examen, morgen, prüfung,
            mañana, amanhã, exame, prova
        """,
    },
    "administration": {
        4: """
            certificate, certificates, transcript, transcripts, diploma, enrol, enroll, enrolment,
            enrollment, enrolled, unenroll, withdraw, withdrawal, change class, change course,
            switch class, switch course, transfer, my name is wrong, wrong name, change my name,
            change my email, change my address, certificat, attestation, inscription, inscrire,
            inscrit, inscrite, diplôme, zertifikat, bescheinigung, zeugnis, einschreibung,
            kurswechsel, abmelden, certificado, certificados, matrícula, inscripción, inscribirme,
            traslado, certidão, inscrição, matricular, transferência
        """,
        2: "registration, register, registered, document, documents, papers, registro, anmeldung",
    },
    "content": {
        4: """
            assignment, assignments, homework, lesson, lessons, chapter, chapters, quiz, quizzes,
            exercise, exercises, worksheet, textbook, slides, lecture notes, course material,
            materials, answer key, typo, devoir, devoirs, leçon, leçons, chapitre, exercice,
            exercices, cours, hausaufgabe, hausaufgaben, aufgabe, aufgaben, lektion, kapitel,
            übung, übungen, lernmaterial, tarea, tareas, lección, capítulo, ejercicio, ejercicios,
            material, tarefa, tarefas, lição, aula, aulas, exercício, exercícios
        """,
        2: """
            question, questions, explain, understand, topic, course, task, module, comprends,
            comprendre, verstehe, frage, fragen, entiendo, pregunta, entendo, pergunta, curso, kurs
        """,
    },
    "technical": {
        4: """
            video, videos, sound, audio, microphone, camera, crash, crashes, crashed, crashing,
            freezes, frozen, error message, blank page, blank screen, black screen, page not found,
            does not load, doesn't load, won't load, not loading, upload, uploads, uploading,
            browser, bug, buffering, vidéo, vidéos, son, plante, ne charge pas, page blanche,
            navigateur, ton, absturz, abgestürzt, lädt nicht, hochladen, fehlermeldung, sonido,
            no carga, se cierra, navegador, subir el archivo, vídeo, vídeos, som, não carrega,
            travou, enviar o arquivo
        """,
        2: """
            error, errors, stops, stopped, broken, slow, app, screen, page, website, link, device,
            laptop, phone, tablet, nothing happens, does not work, doesn't work, not working,
            won't open, erreur, bloque, lent, ne marche pas, ne fonctionne pas, écran, fehler,
            langsam, funktioniert nicht, geht nicht, bildschirm, seite, lento, no funciona,
            pantalla, erro, não funciona, tela, página
        """,
    },
}

URGENCY_WORDS: Words = {
    "high": {
        # One of these settles it, whatever else is said.
        20: """
            kill myself, hurt myself, harm myself, suicide, suicidal, end my life, want to die,
            self harm, threatened me, emergency, me suicider, me tuer, umbringen, selbstmord,
            suizid, notfall, matarme, suicidarme, suicidio, emergencia, me matar, suicídio,
            emergência, urgence
        """,
        2: """
            urgent, urgently, asap, as soon as possible, immediately, right now, right away,
            due today, due tonight, due tomorrow, exam today, exam tomorrow, exam starts, being
            bullied, locked out, d'urgence, urgente, urgentemente, immédiatement, tout de suite,
            au plus vite, pour demain, dringend, sofort, eilig, so schnell wie möglich, cuanto
            antes, inmediatamente, ahora mismo, para mañana, o mais rápido possível,
            imediatamente, agora mesmo, para amanhã
        """,
        1: """
            today, tonight, deadline, still waiting, third time, second time, aujourd'hui,
            ce soir, heute, frist, hoy, esta noche, plazo, hoje, esta noite, prazo
        """,
    },
    "low": {
        2: """
            no hurry, no rush, not urgent, not an emergency, when you have time, whenever you can,
            suggestion, just wondering, just curious, would be nice, pas urgent, rien d'urgent,
            quand vous avez le temps, suggestion, nicht dringend, keine eile, vorschlag,
            wenn sie zeit haben, no es urgente, sin prisa, sugerencia, cuando pueda, não é urgente,
            sem pressa, sugestão, quando puder
        """,
    },
}

SENTIMENT_WORDS: Words = {
    "negative": {
        3: """
            angry, furious, terrible, awful, horrible, unacceptable, ridiculous, outrageous, hate,
            disgusting, useless, worst, fed up, scandaleux, inacceptable, nul, furieux, furieuse,
            schrecklich, unverschämt, inakzeptabel, wütend, inaceptable, pésimo, pésima, furioso,
            inaceitável, péssimo, péssima, kill myself, hurt myself, want to die
        """,
        2: """
            disappointed, disappointing, frustrated, frustrating, annoyed, annoying, upset, unfair,
            not happy, unhappy, not good, not fair, complaint, complain, again and again, bullied,
            sad, scared, afraid, worried, stressed, depressed, déçu, déçue, frustrant, énervé,
            injuste, plainte, pas content, pas contente, triste, enttäuscht, frustriert, ärgerlich,
            unfair, nicht zufrieden, beschwerde, traurig, decepcionado, decepcionada, frustrado,
            frustrada, molesto, injusto, injusta, queja, no estoy contento, chateado, chateada,
            reclamação
        """,
        1: """
            wrong, broken, cannot, can't, does not work, doesn't work, not working, nothing happens,
            error, failed, lost, still, problem, problems, stuck, ne marche pas, ne fonctionne pas,
            problème, erreur, funktioniert nicht, geht nicht, problem, fehler, no funciona, no
            puedo, problema, problemas, não funciona, não consigo, erro
        """,
    },
    "positive": {
        3: """
            love, excellent, amazing, wonderful, fantastic, awesome, perfect, thank you so much,
            génial, géniale, parfait, merveilleux, großartig, wunderbar, perfekt, fantastisch,
            excelente, maravilloso, perfecto, fantástico, maravilhoso, perfeito, adorei
        """,
        2: """
            great, happy, glad, enjoy, enjoyed, helpful, works now, works again, solved, well done,
            good job, super, content, contente, ravi, ravie, toll, glücklich, zufrieden, hilfreich,
            contento, contenta, feliz, útil, ótimo, ótima
        """,
        1: "good, nice, bien, bon, gut, schön, bueno, buena, bom, boa",
    },
}
