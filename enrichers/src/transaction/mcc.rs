//! Owns the merchant category codes of ISO 18245. Names and ranges follow the code list as card schemes publish it
//! (Visa Merchant Data Standards Manual, "Merchant Category Codes"), shortened to what people call the places.

/// The category of a four-digit code, from its own entry or its range; `None` for what is no assigned code.
pub(crate) fn category(code: &str) -> Option<&'static str> {
    // A producer that sent a number lost the leading zero.
    let well_formed = (3..=4).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    let code: u16 = well_formed.then(|| code.parse().ok()).flatten()?;
    let own = CODES.binary_search_by_key(&code, |(known, _)| *known).ok().and_then(|at| CODES.get(at));
    let range = || RANGES.iter().find(|(first, last, _)| (*first..=*last).contains(&code)).map(|(_, _, name)| *name);
    own.map(|(_, name)| *name).or_else(range)
}

#[rustfmt::skip]
const RANGES: &[(u16, u16, &str)] = &[
    (700, 1499, "Agricultural Services"),
    (1500, 2999, "Contracted Services"),
    (3000, 3350, "Airlines"),
    (3351, 3500, "Car Rental"),
    (3501, 3999, "Hotels"),
    (4000, 4799, "Transportation"),
    (4800, 4999, "Utilities"),
    (5000, 5599, "Retail"),
    (5600, 5699, "Clothing"),
    (5700, 7299, "Miscellaneous Stores"),
    (7300, 7999, "Business Services"),
    (8000, 8999, "Professional Services"),
    (9000, 9999, "Government Services"),
];

/// Common codes, sorted.
#[rustfmt::skip]
const CODES: &[(u16, &str)] = &[
    (742, "Veterinary Services"),
    (4011, "Railways"), (4111, "Public Transport"), (4112, "Railways"), (4119, "Ambulance Services"),
    (4121, "Taxis"), (4131, "Bus Lines"), (4214, "Moving and Freight"), (4215, "Couriers"), (4225, "Storage"),
    (4411, "Cruise Lines"), (4511, "Airlines"), (4582, "Airports"), (4722, "Travel Agencies"), (4784, "Tolls"),
    (4789, "Transportation"), (4812, "Telephones"), (4814, "Telecommunication"), (4816, "Internet Services"),
    (4829, "Money Transfer"), (4899, "Streaming and Cable"), (4900, "Utilities"),
    (5045, "Computers"), (5111, "Office Supplies"), (5192, "Books and Newspapers"), (5200, "Home Improvement"),
    (5211, "Building Materials"), (5251, "Hardware Stores"), (5261, "Garden Stores"), (5300, "Wholesale Clubs"),
    (5309, "Duty Free Stores"), (5310, "Discount Stores"), (5311, "Department Stores"), (5331, "Variety Stores"),
    (5399, "General Merchandise"), (5411, "Groceries"), (5422, "Butchers"), (5441, "Confectionery"),
    (5451, "Dairies"), (5462, "Bakeries"), (5499, "Convenience Stores"), (5511, "Car Dealers"),
    (5532, "Tyres"), (5533, "Car Parts"), (5541, "Fuel"), (5542, "Fuel"), (5552, "Electric Vehicle Charging"),
    (5611, "Clothing"), (5621, "Clothing"), (5641, "Children's Clothing"), (5651, "Clothing"), (5655, "Sportswear"),
    (5661, "Shoes"), (5691, "Clothing"), (5699, "Clothing"), (5712, "Furniture"), (5722, "Household Appliances"),
    (5732, "Electronics"), (5734, "Software"), (5735, "Music"), (5811, "Caterers"), (5812, "Restaurants"),
    (5813, "Bars"), (5814, "Fast Food"), (5815, "Digital Media"), (5816, "Games"), (5817, "Apps"),
    (5818, "Digital Goods"), (5912, "Pharmacies"), (5921, "Liquor Stores"), (5931, "Second-hand Stores"),
    (5940, "Bicycles"), (5941, "Sporting Goods"), (5942, "Books"), (5943, "Stationery"), (5944, "Jewellery"),
    (5945, "Toys and Games"), (5947, "Gifts"), (5968, "Subscriptions"), (5977, "Cosmetics"), (5992, "Florists"),
    (5995, "Pet Shops"), (6010, "Cash"), (6011, "Cash Machines"), (6012, "Financial Services"), (6051, "Quasi-cash"),
    (6211, "Brokers"), (6300, "Insurance"), (6513, "Rent"), (6540, "Wallet Top-up"), (7011, "Hotels"),
    (7032, "Camps"), (7033, "Campgrounds"), (7210, "Laundries"), (7211, "Laundries"), (7216, "Dry Cleaners"),
    (7230, "Hairdressers"), (7273, "Dating Services"), (7298, "Spas"), (7299, "Personal Services"),
    (7311, "Advertising"), (7349, "Cleaning Services"), (7372, "Software"), (7512, "Car Rental"), (7523, "Parking"),
    (7538, "Car Repair"), (7542, "Car Washes"), (7832, "Cinemas"), (7841, "Video Rental"), (7922, "Theatres"),
    (7929, "Bands and Orchestras"), (7941, "Sports Clubs"), (7991, "Tourist Attractions"), (7994, "Game Arcades"),
    (7995, "Gambling"), (7996, "Amusement Parks"), (7997, "Clubs"), (7999, "Recreation"), (8011, "Doctors"),
    (8021, "Dentists"), (8041, "Chiropractors"), (8043, "Opticians"), (8062, "Hospitals"), (8071, "Laboratories"),
    (8099, "Health Services"), (8111, "Legal Services"), (8211, "Schools"), (8220, "Universities"),
    (8299, "Education"), (8351, "Child Care"), (8398, "Charities"), (8651, "Political Organisations"),
    (8661, "Religious Organisations"), (9211, "Court Costs"), (9222, "Fines"), (9311, "Taxes"), (9402, "Postage"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_before_ranges() {
        assert_eq!(category("5812"), Some("Restaurants"));
        assert_eq!(category("3058"), Some("Airlines"));
        assert_eq!(category("0742"), Some("Veterinary Services"));
        assert_eq!(category("742"), Some("Veterinary Services"));
        for code in ["", "0000", "58120", "food", "-581", "５８１２"] {
            assert_eq!(category(code), None, "{code}");
        }
    }

    #[test]
    fn codes_are_sorted_for_the_search() {
        assert!(CODES.is_sorted_by(|(left, _), (right, _)| left < right));
    }
}
