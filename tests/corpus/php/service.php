<?php
// The router of PHP's own server: one function a path.
declare(strict_types=1);

$answers = [
    '/' => fn () => 'The service',
    '/words' => function () {
        $database = new PDO('sqlite::memory:');
        $database->exec('create table words (word text)');
        $insert = $database->prepare('insert into words values (?)');
        foreach (json_decode(file_get_contents('php://input'), true) as $word) {
            $insert->execute([mb_strtoupper($word)]);
        }
        return json_encode($database->query('select word from words order by word desc')
            ->fetchAll(PDO::FETCH_COLUMN), JSON_UNESCAPED_UNICODE);
    },
    '/xml' => function () {
        $document = new DOMDocument();
        $document->loadXML('<a><b>content</b></a>');
        $sheet = new DOMDocument();
        $sheet->loadXML('<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform">'
            . '<x:template match="/"><c><x:value-of select="//b"/></c></x:template></x:stylesheet>');
        $processor = new XSLTProcessor();
        $processor->importStylesheet($sheet);
        return $processor->transformToXml($document);
    },
    '/money' => fn () =>
        (new NumberFormatter('de_DE', NumberFormatter::DECIMAL))->format(1234567.5),
    '/encode' => fn () => (string) strlen(iconv('UTF-8', 'SHIFT_JIS', '日本')),
    '/time' => fn () => (new DateTime('@0'))->setTimezone(new DateTimeZone('Europe/Berlin'))
        ->format('c'),
    '/part' => fn () => require __DIR__ . '/parts/late.php',
    '/session' => function () {
        session_start();
        $_SESSION['seen'] = ($_SESSION['seen'] ?? 0) + 1;
        return 'seen ' . $_SESSION['seen'];
    },
];
$answer = $answers[parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)] ?? null;
if ($answer === null) {
    http_response_code(404);
    return;
}
try {
    echo $answer(), "\n";
} catch (Throwable $error) {
    http_response_code(500);
    echo $error, "\n";
}
