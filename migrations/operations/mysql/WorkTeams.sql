CREATE TABLE IF NOT EXISTS `WorkTeams` (
    `id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `businessId` BIGINT NOT NULL,
    `name` VARCHAR(255) NOT NULL,
    `position` VARCHAR(100),
    `email` VARCHAR(255),
    `salary` DECIMAL(15,2),
    `startedOn` DATE,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
